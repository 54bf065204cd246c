/**
 * What of a tokenizer.json is handed on to the native tokenizers library.
 *
 * The library trusts its file: an unknown combination, a merge of tokens that do not exist or a hostile pattern makes it
 * abort the whole process, or never return, where no exception can be caught. So only what is known here is passed on,
 * every value checked; another kind of component is refused by its name. As the library does, it reads what older and
 * newer versions write: a model without its type, merges as strings or pairs, flags that are missing; a field that
 * nobody knows counts for nothing. What is random is switched off.
 * Lineage: the serde formats of huggingface/tokenizers, src/normalizers, pre_tokenizers, models and added_vocabulary.
 */
import { UserError } from "../../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, printable } from "../../util/json.ts";
import { isCharsmap } from "./charsmap.ts";
import { isKnownPattern } from "./patterns.ts";

type Check = (value: JsonValue) => boolean;
/** A kind of component: its fields. */
type Fields = Readonly<Record<string, Check>>;
type Kinds = Readonly<Record<string, Fields>>;

const flag: Check = (value) => typeof value === "boolean";
const flagOrNull: Check = (value) => value === null || typeof value === "boolean";
const empty: Check = (value) => value === null || value === "";
const text: Check = (value) => typeof value === "string" && isWhole(value);
const textOrNull: Check = (value) => value === null || text(value);
const oneOf =
  (...known: readonly string[]): Check =>
  (value) =>
    known.some((one) => one === value);
const behaviour = oneOf("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous");
/** A text, or an expression that is known. */
const patternOf =
  (isKnown: (expression: string) => boolean): Check =>
  (value) => {
    if (!isJsonObject(value) || Object.keys(value).length !== 1) return false;
    const { String: literal, Regex: expression } = value;
    return typeof expression === "string" ? isKnown(expression) : literal !== "" && text(literal ?? null);
  };
/** Bytes of a table of replacements. */
const LARGEST_CHARSMAP = 2 ** 24;

const replace: Fields = { pattern: patternOf((expression) => expression === " {2,}"), content: text };
const byteLevel: Fields = { add_prefix_space: flag, trim_offsets: flag, use_regex: flag };
const metaspace: Fields = {
  replacement: (value) => text(value) && Array.from(String(value)).length === 1,
  prepend_scheme: oneOf("always", "first", "never"),
  split: flag,
  add_prefix_space: flag,
};

const normalizers: Kinds = {
  BertNormalizer: { clean_text: flag, handle_chinese_chars: flag, strip_accents: flagOrNull, lowercase: flag },
  Lowercase: {},
  StripAccents: {},
  NFC: {},
  NFD: {},
  NFKC: {},
  NFKD: {},
  Strip: { strip_left: flag, strip_right: flag },
  Prepend: { prepend: (value) => value !== "" && text(value) },
  Replace: replace,
  Precompiled: {
    precompiled_charsmap: (value) => typeof value === "string" && value.length < LARGEST_CHARSMAP && isCharsmap(value),
  },
};

const preTokenizers: Kinds = {
  BertPreTokenizer: {},
  ByteLevel: byteLevel,
  Whitespace: {},
  WhitespaceSplit: {},
  Punctuation: { behavior: behaviour },
  Digits: { individual_digits: flag },
  Metaspace: metaspace,
  Split: { pattern: patternOf(isKnownPattern), behavior: behaviour, invert: flag },
};

const decoders: Kinds = {
  WordPiece: { prefix: text, cleanup: flag },
  ByteLevel: byteLevel,
  Metaspace: metaspace,
  Replace: replace,
  ByteFallback: {},
  Fuse: {},
  Strip: { content: metaspace.replacement, start: (value) => isNatural(value, 2 ** 16), stop: (value) => value === 0 },
};

const models: Kinds = {
  WordPiece: {
    unk_token: text,
    continuing_subword_prefix: text,
    max_input_chars_per_word: (value) => isNatural(value, 2 ** 20),
  },
  WordLevel: { unk_token: text },
  BPE: {
    unk_token: textOrNull,
    continuing_subword_prefix: empty,
    end_of_word_suffix: empty,
    fuse_unk: flagOrNull,
    byte_fallback: flagOrNull,
    ignore_merges: flagOrNull,
  },
  Unigram: { unk_id: (value) => value === null || isNatural(value, MOST_IDS), byte_fallback: flag },
};

/** Ids are below it: tables of a vocabulary's length are made of them. */
const MOST_IDS = 2 ** 24;

/**
 * tokenizer.json as it may be given to the library. Post-processing is left out: it adds special tokens, which nobody
 * asks for here.
 * @param where the file or folder, for messages @throws UserError naming the first thing that is not known or damaged
 */
export function checkTokenizer(json: Json, where: string): Json {
  const check = new Checker(where);
  const stored = isJsonObject(json.model) ? json.model : {};
  const untyped = isJsonObject(json.model) && stored.type === undefined;
  const guess = "merges" in stored ? "BPE" : Array.isArray(stored.vocab) ? "Unigram" : "WordPiece";
  const model = check.component(untyped ? { type: guess, ...stored } : json.model, "model", models);
  const vocab = check.vocabulary(stored.vocab);
  const unknown = model.unk_token;
  // BPE may never need one, the 256 bytes stand for any text; Unigram names an id, which the library looks at.
  const needed = model.type === "WordPiece" || model.type === "WordLevel";
  if (needed && unknown === undefined) check.refuse("model.unk_token", "is missing");
  if (needed && !vocab.has(String(unknown))) check.refuse("model.unk_token", "is not in the vocabulary");
  if (Array.isArray(stored.vocab) !== (model.type === "Unigram"))
    check.refuse("model.vocab", `is none of ${model.type}`);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: check.added(json.added_tokens),
    normalizer: check.optional(json.normalizer, "normalizer", normalizers),
    pre_tokenizer: check.optional(json.pre_tokenizer, "pre_tokenizer", preTokenizers),
    post_processor: null,
    // How ids become text again matters to nobody who encodes: what is not known of it is left out.
    decoder: componentsOf(json.decoder).every(({ type }) => Object.hasOwn(decoders, String(type)))
      ? check.optional(json.decoder, "decoder", decoders)
      : null,
    model: {
      ...model,
      vocab: Array.isArray(stored.vocab) ? stored.vocab : Object.fromEntries(vocab),
      ...(model.type === "BPE" ? { merges: check.merges(stored.merges, vocab) } : {}),
    },
  };
}

/** A vocabulary, token → id. @param where as in checkTokenizer @throws UserError if it is none */
export function vocabularyOf(value: JsonValue | undefined, where: string): ReadonlyMap<string, number> {
  return new Checker(where).vocabulary(value);
}

/** A component, or the components of a sequence. */
export function componentsOf(value: JsonValue | undefined): readonly Json[] {
  if (!isJsonObject(value)) return [];
  return value.type === "Sequence" ? (sequenceOf(value)?.[1] ?? []).filter(isJsonObject) : [value];
}

class Checker {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  refuse(path: string, what: string): never {
    const refused = `not a tokenizer that can be read (\`${printable(path)}\` ${what})`;
    throw new UserError(refused, this.#where, "use a tokenizer of a model that is supported, or get the file anew");
  }

  /** A component or a sequence of them; null where there is none. */
  optional(value: JsonValue | undefined, path: string, kinds: Kinds): JsonValue {
    if (value === undefined || value === null) return null;
    const list = isJsonObject(value) && value.type === "Sequence" ? sequenceOf(value) : undefined;
    if (list === undefined) return this.component(value, path, kinds);
    const [key, items] = list;
    // One level is all that anybody writes, and keeps the library from nesting without end.
    const checked = items.map((item, i) => this.component(item, `${path}.${key}.${i}`, kinds));
    return { type: "Sequence", [key]: checked };
  }

  /** An object of a known type whose known fields are sound; those that are not known are left out. */
  component(value: JsonValue | undefined, path: string, kinds: Kinds): Record<string, JsonValue> {
    if (!isJsonObject(value)) return this.refuse(path, "is missing or no object");
    const { type } = value;
    if (typeof type !== "string" || !Object.hasOwn(kinds, type)) {
      const found = printable(JSON.stringify(type) ?? "missing");
      return this.refuse(`${path}.type`, `is ${found}, and supported are ${Object.keys(kinds).join(", ")}`);
    }
    const result: Record<string, JsonValue> = { type };
    for (const [key, sound] of Object.entries(kinds[type])) {
      const field = value[key];
      if (field === undefined) continue;
      if (!sound(field)) this.refuse(`${path}.${key}`, `can't be ${shortened(JSON.stringify(field))}`);
      result[key] = field;
    }
    return result;
  }

  /** Of Unigram it is a list of tokens and their scores. */
  vocabulary(value: JsonValue | undefined): Map<string, number> {
    const entries: readonly (readonly [JsonValue | undefined, JsonValue])[] = Array.isArray(value)
      ? value.map((entry: JsonValue, id) => {
          const pair: readonly JsonValue[] = Array.isArray(entry) ? entry : [];
          return [pair.length === 2 && Number.isFinite(pair[1]) ? pair[0] : undefined, id];
        })
      : isJsonObject(value)
        ? Object.entries(value)
        : this.refuse("model.vocab", "is missing or no object");
    const vocab = new Map<string, number>();
    const ids = new Set<number>();
    for (const [token, id] of entries) {
      if (typeof token !== "string") return this.refuse("model.vocab", "holds what is no token and its score");
      if (!isNatural(id, MOST_IDS)) return this.refuse(`model.vocab.${token}`, "is no id");
      if (!isWhole(token)) this.refuse(`model.vocab.${token}`, "is not Unicode text");
      if (ids.has(id)) this.refuse(`model.vocab.${token}`, `has the id ${id}, as another token has`);
      if (vocab.has(token)) this.refuse(`model.vocab.${token}`, "is there twice");
      ids.add(id);
      vocab.set(token, id);
    }
    if (vocab.size === 0) this.refuse("model.vocab", "is empty");
    return vocab;
  }

  merges(value: JsonValue | undefined, vocab: ReadonlyMap<string, number>): [string, string][] {
    // As in merges.txt, a list of strings may begin with the version of its format.
    const pairs = this.list(value, "model.merges").filter(
      (merge) => typeof merge !== "string" || !merge.startsWith("#version"),
    );
    return pairs.map((merge, i) => {
      const pair: readonly JsonValue[] =
        typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
      const [left, right] = pair;
      if (pair.length !== 2 || typeof left !== "string" || typeof right !== "string") {
        return this.refuse(`model.merges.${i}`, "is no pair of tokens");
      }
      if (!vocab.has(left) || !vocab.has(right) || !vocab.has(left + right)) {
        return this.refuse(`model.merges.${i}`, "is of tokens that are not in the vocabulary");
      }
      return [left, right];
    });
  }

  added(value: JsonValue | undefined): Json[] {
    return this.list(value ?? [], "added_tokens").map((token, i) => {
      const path = `added_tokens.${i}`;
      if (!isJsonObject(token)) return this.refuse(path, "is no object");
      const { id, content } = token;
      if (!isNatural(id, MOST_IDS)) return this.refuse(`${path}.id`, "is no id");
      if (typeof content !== "string" || content === "" || !isWhole(content))
        return this.refuse(`${path}.content`, "is no text");
      const flags = ["single_word", "lstrip", "rstrip", "normalized", "special"].map((key): [string, boolean] => {
        const set = token[key] ?? (key === "normalized" && token.special !== true);
        return typeof set === "boolean" ? [key, set] : this.refuse(`${path}.${key}`, "is neither true nor false");
      });
      return { id, content, ...Object.fromEntries(flags) };
    });
  }

  list(value: JsonValue | undefined, path: string): readonly JsonValue[] {
    return Array.isArray(value) ? value : this.refuse(path, "is missing or no list");
  }
}

/** A sequence's items, under the name that the kind of component gives them. */
function sequenceOf(value: Json): readonly [string, readonly JsonValue[]] | undefined {
  for (const key of ["normalizers", "pretokenizers", "decoders", "processors"]) {
    const items: JsonValue | undefined = value[key];
    if (Array.isArray(items)) return [key, items];
  }
  return undefined;
}

function isNatural(value: JsonValue | undefined, below: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < below;
}

/** Whether every surrogate has its other half. */
function isWhole(value: string): boolean {
  return !/\p{Cs}/u.test(value);
}

/** For a message: a pattern or a table may be long. */
function shortened(value: string): string {
  return printable(value.length > 80 ? `${value.slice(0, 80)}…` : value);
}
