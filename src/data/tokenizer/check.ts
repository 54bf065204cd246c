/**
 * What of a tokenizer.json is handed on to the native tokenizers library.
 *
 * The library trusts its file: an unknown combination, a merge of tokens that do not exist or a hostile pattern makes it
 * abort the whole process, or never return, where no exception can be caught. So only what BERT's, RoBERTa's and GPT-2's
 * tokenizers are made of is passed on, every value checked; another kind of component is refused by its name. As the
 * library does, it reads what older and newer versions write: a model without its type, merges as strings or pairs,
 * flags that are missing; a field that nobody knows counts for nothing. What is random is switched off.
 * Lineage: the serde formats of huggingface/tokenizers, src/normalizers, pre_tokenizers, models and added_vocabulary.
 */
import { UserError } from "../../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, printable } from "../../util/json.ts";

type Check = (value: JsonValue) => boolean;
/** A kind of component: its fields. */
type Fields = Readonly<Record<string, Check>>;

const flag: Check = (value) => typeof value === "boolean";
const flagOrNull: Check = (value) => value === null || typeof value === "boolean";
const empty: Check = (value) => value === null || value === "";
const text: Check = (value) => typeof value === "string" && isWhole(value);
const textOrNull: Check = (value) => value === null || text(value);
const behaviour: Check = (value) =>
  ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"].some((known) => known === value);

const normalizers: Readonly<Record<string, Fields>> = {
  BertNormalizer: { clean_text: flag, handle_chinese_chars: flag, strip_accents: flagOrNull, lowercase: flag },
  Lowercase: {},
  StripAccents: {},
  NFC: {},
  NFD: {},
  NFKC: {},
  NFKD: {},
  Strip: { strip_left: flag, strip_right: flag },
};

const preTokenizers: Readonly<Record<string, Fields>> = {
  BertPreTokenizer: {},
  ByteLevel: { add_prefix_space: flag, trim_offsets: flag, use_regex: flag },
  Whitespace: {},
  WhitespaceSplit: {},
  Punctuation: { behavior: behaviour },
  Digits: { individual_digits: flag },
};

const decoders: Readonly<Record<string, Fields>> = {
  WordPiece: { prefix: text, cleanup: flag },
  ByteLevel: { add_prefix_space: flag, trim_offsets: flag, use_regex: flag },
};

const models: Readonly<Record<string, Fields>> = {
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
  const stored = isJsonObject(json.model) ? json.model : undefined;
  const untyped = stored !== undefined && stored.type === undefined;
  const typed = untyped ? { type: "merges" in stored ? "BPE" : "WordPiece", ...stored } : stored;
  const model = check.component(typed, "model", models);
  const vocab = check.vocabulary(stored?.vocab);
  const unknown = model.unk_token;
  // BPE may never need one: the 256 bytes stand for any text.
  const needed = model.type !== "BPE";
  if (needed && unknown === undefined) check.refuse("model.unk_token", "is missing");
  if (needed && !vocab.has(String(unknown))) check.refuse("model.unk_token", "is not in the vocabulary");
  const merges = model.type === "BPE" ? check.merges(stored?.merges, vocab) : undefined;
  const decoder =
    isJsonObject(json.decoder) && Object.hasOwn(decoders, String(json.decoder.type)) ? json.decoder : null;
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: check.added(json.added_tokens),
    normalizer: check.optional(json.normalizer, "normalizer", normalizers),
    pre_tokenizer: check.optional(json.pre_tokenizer, "pre_tokenizer", preTokenizers),
    post_processor: null,
    decoder: check.optional(decoder, "decoder", decoders),
    model: { ...model, vocab: Object.fromEntries(vocab), ...(merges === undefined ? {} : { merges }) },
  };
}

/** A vocabulary, token → id. @param where as in checkTokenizer @throws UserError if it is none */
export function vocabularyOf(value: JsonValue | undefined, where: string): ReadonlyMap<string, number> {
  return new Checker(where).vocabulary(value);
}

class Checker {
  readonly #where: string;

  constructor(where: string) {
    this.#where = where;
  }

  refuse(path: string, what: string): never {
    throw new UserError(
      `not a tokenizer that can be read (\`${printable(path)}\` ${what})`,
      this.#where,
      "use a tokenizer of BERT, RoBERTa or GPT-2, or get the file anew",
    );
  }

  /** A component or a sequence of them; null where there is none. */
  optional(value: JsonValue | undefined, path: string, kinds: Readonly<Record<string, Fields>>): JsonValue {
    if (value === undefined || value === null) return null;
    const list = isJsonObject(value) && value.type === "Sequence" ? sequenceOf(value) : undefined;
    if (list === undefined) return this.component(value, path, kinds);
    const [key, items] = list;
    // One level is all that anybody writes, and keeps the library from nesting without end.
    const checked = items.map((item, i) => this.component(item, `${path}.${key}.${i}`, kinds));
    return { type: "Sequence", [key]: checked };
  }

  /** An object of a known type whose known fields are sound; those that are not known are left out. */
  component(
    value: JsonValue | undefined,
    path: string,
    kinds: Readonly<Record<string, Fields>>,
  ): Record<string, JsonValue> {
    if (!isJsonObject(value)) return this.refuse(path, "is missing or no object");
    const { type } = value;
    if (typeof type !== "string" || !Object.hasOwn(kinds, type)) {
      const known = Object.keys(kinds).join(", ");
      return this.refuse(
        `${path}.type`,
        `is ${printable(JSON.stringify(type) ?? "missing")}, and supported are ${known}`,
      );
    }
    const result: Record<string, JsonValue> = { type };
    for (const [key, sound] of Object.entries(kinds[type])) {
      const field = value[key];
      if (field === undefined) continue;
      if (!sound(field)) this.refuse(`${path}.${key}`, `can't be ${printable(JSON.stringify(field))}`);
      result[key] = field;
    }
    return result;
  }

  vocabulary(value: JsonValue | undefined): Map<string, number> {
    if (!isJsonObject(value)) return this.refuse("model.vocab", "is missing or no object");
    const vocab = new Map<string, number>();
    const ids = new Set<number>();
    for (const [token, id] of Object.entries(value)) {
      if (!isNatural(id, MOST_IDS) || typeof id !== "number") return this.refuse(`model.vocab.${token}`, "is no id");
      if (!isWhole(token)) this.refuse(`model.vocab.${token}`, "is not Unicode text");
      if (ids.has(id)) this.refuse(`model.vocab.${token}`, `has the id ${id}, as another token has`);
      ids.add(id);
      vocab.set(token, id);
    }
    if (vocab.size === 0) this.refuse("model.vocab", "is empty");
    return vocab;
  }

  merges(value: JsonValue | undefined, vocab: ReadonlyMap<string, number>): [string, string][] {
    const list: readonly JsonValue[] = Array.isArray(value)
      ? value
      : this.refuse("model.merges", "is missing or no list");
    // As in merges.txt, a list of strings may begin with the version of its format.
    const pairs = list.filter((merge) => typeof merge !== "string" || !merge.startsWith("#version"));
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
    const list: readonly JsonValue[] =
      value === undefined || value === null
        ? []
        : Array.isArray(value)
          ? value
          : this.refuse("added_tokens", "is no list");
    return list.map((token, i) => {
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
}

/** A sequence's items, under the name that normalizers or pre-tokenizers give them. */
function sequenceOf(value: Json): readonly [string, readonly JsonValue[]] | undefined {
  for (const key of ["normalizers", "pretokenizers"]) {
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
