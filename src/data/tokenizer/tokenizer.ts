/**
 * A tokenizer, opened: what its ids are, which of them are special, and text turned into ids by the native tokenizers
 * library (Hugging Face's own code, so the ids are Python's).
 */
import { createHash } from "node:crypto";
import { UserError } from "../../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, printable } from "../../util/json.ts";
import { checkTokenizer, componentsOf } from "./check.ts";
import { type EncodedTexts, Encoder } from "./encode.ts";
import { addedTokens, describeTokenizer, type TokenizerDescription } from "./folder.ts";
import { type Role, roles } from "./special.ts";

/** What batches and prepared data need to know of a tokenizer; plain data, stored in data.json. */
export interface TokenizerInfo {
  /** SHA-256 (hex) of all that ids depend on: the same for the same tokenizer in another form of files. */
  readonly hash: string;
  /** One more than the largest id. */
  readonly vocabulary: number;
  /** The id of each role that a token plays. */
  readonly special: Readonly<Partial<Record<Role, number>>>;
  /** All special ids, ascending: never masked, never drawn as a random replacement. */
  readonly specialIds: readonly number[];
}

export interface PlacedIds {
  readonly ids: readonly number[];
  readonly places: readonly (readonly number[])[];
}

export class Tokenizer {
  readonly info: TokenizerInfo;
  readonly description: TokenizerDescription;
  readonly #encoder: Encoder;
  readonly #where: string;

  /** @internal */
  constructor(info: TokenizerInfo, description: TokenizerDescription, encoder: Encoder, where: string) {
    this.info = info;
    this.description = description;
    this.#encoder = encoder;
    this.#where = where;
  }

  /**
   * The ids of each text, encoded alone, without special tokens around them.
   * @throws UserError if a text holds what the tokenizer has neither a token nor an unknown token for
   */
  async encode(texts: readonly string[]): Promise<EncodedTexts> {
    try {
      return await this.#encoder.encode(texts);
    } catch (error) {
      const reason = error instanceof Error ? error.message : "";
      if (!/unk/i.test(reason)) throw error;
      const wayOut = "give it an unknown token, or every character that texts may hold";
      throw new UserError(`the tokenizer has no token for a text (${printable(reason)})`, this.#where, wayOut);
    }
  }

  /**
   * As `encode`, and where in its text each id stands, from and to, in code points; without the blanks at a token's ends
   * where its post-processor leaves them out (`process_offsets` of the library).
   */
  async encodeWithPlaces(texts: readonly string[]): Promise<readonly PlacedIds[]> {
    const encodings = await this.#encoder.native.encodeBatch([...texts], { addSpecialTokens: false });
    const trims = componentsOf(this.description.json.post_processor).find((one) => one.trim_offsets === true);
    const blanks = (token: string, at: RegExp) => (at.exec(token)?.[0] ?? "").length;
    return encodings.map((encoding) => {
      const tokens = trims === undefined ? [] : encoding.getTokens();
      const places = encoding.getOffsets().map(([from, to], i) => {
        const before = blanks(tokens[i] ?? "", /^[Ġ\s]*/u);
        // The first one's blank may be none of the text's.
        const own = before > 0 && from === 0 && trims?.add_prefix_space === true ? before - 1 : before;
        const start = Math.min(from + own, to);
        return [start, Math.max(to - blanks(tokens[i] ?? "", /[Ġ\s]*$/u), start)];
      });
      return { ids: encoding.getIds(), places };
    });
  }

  /** The text of ids, special tokens written out. */
  decode(ids: ArrayLike<number>): Promise<string> {
    return this.#encoder.native.decode(Array.from(ids), false);
  }

  tokenOf(id: number): string | undefined {
    return this.#encoder.native.idToToken(id) ?? undefined;
  }
}

/** @throws UserError if the folder holds no tokenizer, or a damaged one */
export async function openTokenizer(folder: string): Promise<Tokenizer> {
  return fromDescription(await describeTokenizer(folder), folder);
}

/** @param where what a message names */
export async function fromDescription(description: TokenizerDescription, where: string): Promise<Tokenizer> {
  const checked = checkTokenizer(description.json, where);
  const { default: library } = await import("tokenizers");
  let native: InstanceType<typeof library.Tokenizer>;
  try {
    native = library.Tokenizer.fromString(JSON.stringify(checked));
  } catch (error) {
    const reason = error instanceof Error ? printable(error.message) : "";
    throw new UserError(`not a tokenizer that can be read (${reason})`, where, "get its files anew");
  }
  // Only where a vocabulary has gaps the library goes another way than transformers when it adds tokens in two goes.
  const elsewhere = addedTokens(checked).find(({ content, id }) => native.tokenToId(content) !== id);
  if (elsewhere !== undefined) {
    const what = `the id of the added token ${printable(elsewhere.content)} is not certain: its vocabulary has gaps`;
    throw new UserError(what, where, "have transformers save the tokenizer anew: save_pretrained(…)");
  }
  const idOf = (token: string | undefined) => (token === undefined ? null : native.tokenToId(token));
  const unknown = idOf(description.roles.unk);
  const special: Partial<Record<Role, number>> = {};
  for (const role of roles) {
    const id = description.roles[role] === undefined ? null : (idOf(description.roles[role]) ?? unknown);
    if (id !== null) special[role] = id;
  }
  const specialIds = new Set(description.special.flatMap((token) => idOf(token) ?? unknown ?? []));
  let largest = -1;
  for (const id of Object.values(native.getVocab(true))) largest = Math.max(largest, id);
  const info = {
    hash: hashOf(checked, special),
    vocabulary: largest + 1,
    special,
    specialIds: [...specialIds].sort((a, b) => a - b),
  };
  return new Tokenizer(info, description, new Encoder(native, checked), where);
}

/** Independent of the order of keys, of how merges are written, and of defaults written out or not. */
function hashOf(json: Json, special: Readonly<Partial<Record<Role, number>>>): string {
  const hash = createHash("sha256");
  const model = isJsonObject(json.model) ? json.model : {};
  const vocab = isJsonObject(model.vocab) ? model.vocab : {};
  const merges: readonly JsonValue[] = Array.isArray(model.merges) ? model.merges : [];
  const parts: JsonValue[] = [
    json.normalizer ?? null,
    json.pre_tokenizer ?? null,
    [...addedTokens(json)].sort((a, b) => a.id - b.id).map((token) => ({ ...token })),
    { ...model, vocab: null, merges: null },
    special,
    merges.map((merge) => (Array.isArray(merge) ? merge.join(" ") : merge)),
  ];
  for (const part of parts) hash.update(`${canonical(part)}\n`);
  const entries = Object.entries(vocab).map(([token, id]): [string, number] => [token, Number(id)]);
  for (const [token, id] of entries.sort((a, b) => a[1] - b[1])) hash.update(`${id} ${JSON.stringify(token)}\n`);
  return hash.digest("hex");
}

/** JSON with sorted keys; members that are null, false or "" left out, since they mean the same as absent ones. */
function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => canonical(item)).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .filter((key) => value[key] !== null && value[key] !== false && value[key] !== "")
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(",")}}`;
}
