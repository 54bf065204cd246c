/**
 * Prepared data on disk: what `prepare` writes and training reads.
 *
 * A folder with data.json, the tokenizer's files under tokenizer/, and for each part (train, validation)
 * - NAME.tokens: all tokens in order, each document followed by the separator; flat, little-endian, 2 or 4 bytes each;
 * - NAME.documents, NAME.lines: where documents and their lines start, as 64-bit little-endian token positions, with
 *   the part's end as a last entry (so that pairs of sentences can be drawn when a batch is made).
 * A sequence's body is a full slice of the flat file: slice i of length n is tokens i·n … (i + 1)·n − 1; what is left
 * at the end is not used. Tokens are read in slices, never loaded whole.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, printable, readJsonObject } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";
import { roles } from "../tokenizer/special.ts";
import type { TokenizerInfo } from "../tokenizer/tokenizer.ts";
import { Positions } from "./positions.ts";

export const FORMAT = "bert2bert-data";
export const FORMAT_VERSION = 1;

export interface PartInfo {
  readonly documents: number;
  readonly lines: number;
  /** Separators and line breaks included. */
  readonly tokens: number;
}

export interface SourceInfo {
  readonly path: string;
  /** Size of the file as it lay on disk. */
  readonly bytes: number;
  readonly sha256: string;
}

/** data.json. */
export interface DatasetInfo {
  /** Tokens of a sequence, special tokens included. */
  readonly length: number;
  /** Bytes of a token in the files. */
  readonly width: 2 | 4;
  readonly tokenizer: TokenizerInfo;
  /** The id after each document. */
  readonly separator: number;
  /** The id before each document, if there is one. */
  readonly bos?: number;
  /** The ids between two lines of a document; none for a tokenizer that drops line breaks. */
  readonly lineBreak: readonly number[];
  /** The largest id of the data; undefined: of a version that did not count it. */
  readonly largest?: number;
  readonly train: PartInfo;
  readonly validation: PartInfo;
  readonly sources: readonly SourceInfo[];
}

export interface Dataset {
  readonly folder: string;
  readonly info: DatasetInfo;
  readonly train: Part;
  readonly validation: Part;
  /** Where the tokenizer's files are. */
  readonly tokenizerFolder: string;
  /** Ids that are drawn are below it; undefined: below the tokenizer's vocabulary. */
  readonly drawnBelow?: number;
  close(): void;
}

/** One part: its flat token file, and where documents and lines start in it. */
export class Part {
  readonly info: PartInfo;
  readonly #file: number;
  readonly #width: 2 | 4;
  readonly #path: string;
  readonly #base: string;
  readonly #vocabulary: number;
  readonly #positions = new Map<string, Positions>();
  #bytes = new Uint8Array(0);

  /** @param path without the ending @param vocabulary ids are below it */
  constructor(path: string, info: PartInfo, width: 2 | 4, vocabulary: number) {
    this.info = info;
    this.#width = width;
    this.#base = path;
    this.#path = `${path}.tokens`;
    this.#vocabulary = vocabulary;
    this.#file = openSync(this.#path, "r");
    if (fstatSync(this.#file).size !== info.tokens * width) {
      this.close();
      throw new UserError("its size is not what data.json says", this.#path, "prepare the data anew");
    }
  }

  /** How many full bodies of `length` tokens it holds. */
  sequences(length: number): number {
    return Math.floor(this.info.tokens / length);
  }

  /** Where its documents start. @throws UserError if the file is missing or damaged */
  documents(): Positions {
    return this.#open("documents", this.info.documents);
  }

  /** Where its lines start; a document's first with it. @throws UserError if the file is missing or damaged */
  lines(): Positions {
    return this.#open("lines", this.info.lines);
  }

  #open(what: string, count: number): Positions {
    const opened = this.#positions.get(what) ?? new Positions(`${this.#base}.${what}`, count, this.info.tokens);
    this.#positions.set(what, opened);
    return opened;
  }

  /** The ids of body `index` of `length` tokens, written to `into` from `at`. */
  read(index: number, length: number, into: Int32Array, at: number): void {
    this.readAt(index * length, length, into, at);
  }

  /** The ids of `length` tokens from token `token`, written to `into` from `at`. */
  readAt(token: number, length: number, into: Int32Array, at: number): void {
    const size = length * this.#width;
    if (this.#bytes.length < size) this.#bytes = new Uint8Array(size);
    const start = token * this.#width;
    for (let done = 0; done < size; ) {
      const count = readSync(this.#file, this.#bytes, done, size - done, start + done);
      if (count === 0) throw new UserError("the file has become shorter", this.#path, "prepare the data anew");
      done += count;
    }
    const view = new DataView(this.#bytes.buffer);
    for (let i = 0; i < length; i++) {
      const id = this.#width === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true);
      if (id >= this.#vocabulary) {
        const what = `token ${token + i} is ${id}, and its tokenizer has ${this.#vocabulary}`;
        throw new UserError(what, this.#path, "the file is damaged: prepare the data anew");
      }
      into[at + i] = id;
    }
  }

  close(): void {
    closeSync(this.#file);
    for (const positions of this.#positions.values()) positions.close();
  }
}

/** @throws UserError if the folder is not what `prepare` writes */
export async function openDataset(folder: string): Promise<Dataset> {
  const path = join(folder, "data.json");
  if (!existsSync(path)) {
    const what = existsSync(folder) ? "no prepared data in this folder (data.json is missing)" : "no such folder";
    throw new UserError(what, folder, "`bert2bert prepare` makes it from text");
  }
  const info = readInfo(await readJsonObject(path), path);
  const parts: Part[] = [];
  const close = () => {
    for (const part of parts) part.close();
  };
  try {
    parts.push(new Part(join(folder, "train"), info.train, info.width, info.tokenizer.vocabulary));
    parts.push(new Part(join(folder, "validation"), info.validation, info.width, info.tokenizer.vocabulary));
  } catch (error) {
    close();
    throw systemError(error, folder);
  }
  const [train, validation] = parts;
  return { folder, info, train, validation, tokenizerFolder: join(folder, "tokenizer"), close };
}

/** data.json's content for an info. */
export function infoJson(info: DatasetInfo): Json {
  const { train, validation, tokenizer, ...rest } = info;
  return {
    format: FORMAT,
    version: FORMAT_VERSION,
    ...rest,
    tokenizer: { ...tokenizer, special: { ...tokenizer.special } },
    train: { ...train },
    validation: { ...validation },
    sources: info.sources.map((source) => ({ ...source })),
  };
}

function readInfo(json: Json, where: string): DatasetInfo {
  if (json.format !== FORMAT) throw new UserError("not data that `prepare` wrote", where, "prepare the data anew");
  if (json.version !== FORMAT_VERSION) {
    const what = `format version ${printable(JSON.stringify(json.version) ?? "none")}, this version reads ${FORMAT_VERSION}`;
    throw new UserError(what, where, "prepare the data anew, or use the version that wrote it");
  }
  const damaged = (key: string) => new UserError(`\`${key}\` is missing or damaged`, where, "prepare the data anew");
  const object = (value: JsonValue | undefined, key: string): Json => {
    if (!isJsonObject(value)) throw damaged(key);
    return value;
  };
  const whole = (value: JsonValue | undefined, key: string): number => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw damaged(key);
    return value;
  };
  const text = (value: JsonValue | undefined, key: string): string => {
    if (typeof value !== "string") throw damaged(key);
    return value;
  };
  const list = (value: JsonValue | undefined, key: string): readonly JsonValue[] => {
    if (!Array.isArray(value)) throw damaged(key);
    return value;
  };
  const tokenizer = object(json.tokenizer, "tokenizer");
  const vocabulary = whole(tokenizer.vocabulary, "tokenizer.vocabulary");
  const id = (value: JsonValue | undefined, key: string): number => {
    const found = whole(value, key);
    if (found >= vocabulary) throw damaged(key);
    return found;
  };
  const part = (key: string): PartInfo => {
    const value = object(json[key], key);
    return {
      documents: whole(value.documents, `${key}.documents`),
      lines: whole(value.lines, `${key}.lines`),
      tokens: whole(value.tokens, `${key}.tokens`),
    };
  };
  const named = object(tokenizer.special, "tokenizer.special");
  const special: Partial<Record<(typeof roles)[number], number>> = {};
  for (const role of roles) {
    if (named[role] !== undefined) special[role] = id(named[role], `tokenizer.special.${role}`);
  }
  const specialIds = list(tokenizer.specialIds, "tokenizer.specialIds").map((value) =>
    id(value, "tokenizer.specialIds"),
  );
  if (specialIds.some((value, i) => i > 0 && value <= specialIds[i - 1])) throw damaged("tokenizer.specialIds");
  if (json.width !== 2 && json.width !== 4) throw damaged("width");
  const length = whole(json.length, "length");
  if (length < 8 || length > 2 ** 20) throw damaged("length");
  return {
    length,
    width: json.width,
    tokenizer: {
      hash: text(tokenizer.hash, "tokenizer.hash"),
      vocabulary,
      special,
      specialIds,
    },
    separator: id(json.separator, "separator"),
    ...(json.bos === undefined ? {} : { bos: id(json.bos, "bos") }),
    lineBreak: list(json.lineBreak, "lineBreak").map((value) => id(value, "lineBreak")),
    ...(json.largest === undefined ? {} : { largest: id(json.largest, "largest") }),
    train: part("train"),
    validation: part("validation"),
    sources: list(json.sources, "sources").map((value) => {
      const source = object(value, "sources");
      return {
        path: text(source.path, "sources.path"),
        bytes: whole(source.bytes, "sources.bytes"),
        sha256: text(source.sha256, "sources.sha256"),
      };
    }),
  };
}
