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
import { z } from "zod";
import { UserError } from "../../util/errors.ts";
import { type Json, printable, readJsonObject } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";
import { roles } from "../tokenizer/special.ts";
import { Positions } from "./positions.ts";

export const FORMAT = "bert2bert-data";
export const FORMAT_VERSION = 1;

const whole = z.int().min(0);
const part = z.object({
  documents: whole,
  lines: whole,
  /** Separators and line breaks included. */
  tokens: whole,
});

/** data.json. */
const infoSchema = z.object({
  /** Tokens of a sequence, special tokens included. */
  length: z
    .int()
    .min(8)
    .max(2 ** 20),
  /** Bytes of a token in the files. */
  width: z.union([z.literal(2), z.literal(4)]),
  tokenizer: z.object({
    hash: z.string(),
    vocabulary: whole,
    special: z.partialRecord(z.enum(roles), whole),
    specialIds: z
      .array(whole)
      .refine((ids) => ids.every((id, i) => i === 0 || id > ids[i - 1]))
      .readonly(),
  }),
  /** The id after each document. */
  separator: whole,
  /** The id before each document, if there is one. */
  bos: whole.optional(),
  /** The ids between two lines of a document; none for a tokenizer that drops line breaks. */
  lineBreak: z.array(whole).readonly(),
  /** The largest id of the data; undefined: of a version that did not count it. */
  largest: whole.optional(),
  train: part,
  validation: part,
  /** Each file, and its size as it lay on disk. */
  sources: z.array(z.object({ path: z.string(), bytes: whole, sha256: z.string() })).readonly(),
});

export type DatasetInfo = z.infer<typeof infoSchema>;
export type PartInfo = DatasetInfo["train"];
export type SourceInfo = DatasetInfo["sources"][number];

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
export type Part = ReturnType<typeof openPart>;

/** @param base its path without the ending @param vocabulary ids are below it */
function openPart(base: string, info: PartInfo, width: 2 | 4, vocabulary: number) {
  const path = `${base}.tokens`;
  const file = openSync(path, "r");
  if (fstatSync(file).size !== info.tokens * width) {
    closeSync(file);
    throw new UserError("its size is not what data.json says", path, "prepare the data anew");
  }
  const opened = new Map<string, Positions>();
  const positionsOf = (what: string, count: number): Positions => {
    const positions = opened.get(what) ?? new Positions(`${base}.${what}`, count, info.tokens);
    opened.set(what, positions);
    return positions;
  };
  let bytes = new Uint8Array(0);
  /** The ids of `length` tokens from token `token`, written to `into` from `at`. */
  const readAt = (token: number, length: number, into: Int32Array, at: number): void => {
    const size = length * width;
    if (bytes.length < size) bytes = new Uint8Array(size);
    const start = token * width;
    for (let done = 0; done < size; ) {
      const count = readSync(file, bytes, done, size - done, start + done);
      if (count === 0) throw new UserError("the file has become shorter", path, "prepare the data anew");
      done += count;
    }
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < length; i++) {
      const id = width === 2 ? view.getUint16(2 * i, true) : view.getUint32(4 * i, true);
      if (id >= vocabulary) {
        const what = `token ${token + i} is ${id}, and its tokenizer has ${vocabulary}`;
        throw new UserError(what, path, "the file is damaged: prepare the data anew");
      }
      into[at + i] = id;
    }
  };
  return {
    info,
    /** How many full bodies of `length` tokens it holds. */
    sequences: (length: number) => Math.floor(info.tokens / length),
    /** Where its documents start. @throws UserError if the file is missing or damaged */
    documents: () => positionsOf("documents", info.documents),
    /** Where its lines start; a document's first with it. @throws UserError if the file is missing or damaged */
    lines: () => positionsOf("lines", info.lines),
    /** The ids of body `index` of `length` tokens, written to `into` from `at`. */
    read: (index: number, length: number, into: Int32Array, at: number) => readAt(index * length, length, into, at),
    readAt,
    close(): void {
      closeSync(file);
      for (const positions of opened.values()) positions.close();
    },
  };
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
    parts.push(openPart(join(folder, "train"), info.train, info.width, info.tokenizer.vocabulary));
    parts.push(openPart(join(folder, "validation"), info.validation, info.width, info.tokenizer.vocabulary));
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
  const written = { ...tokenizer, special: { ...tokenizer.special } };
  return { format: FORMAT, version: FORMAT_VERSION, ...rest, tokenizer: written, train, validation };
}

function readInfo(json: Json, where: string): DatasetInfo {
  if (json.format !== FORMAT) throw new UserError("not data that `prepare` wrote", where, "prepare the data anew");
  if (json.version !== FORMAT_VERSION) {
    const what = `format version ${printable(JSON.stringify(json.version) ?? "none")}, this version reads ${FORMAT_VERSION}`;
    throw new UserError(what, where, "prepare the data anew, or use the version that wrote it");
  }
  const damaged = (key: string) => new UserError(`\`${key}\` is missing or damaged`, where, "prepare the data anew");
  const { data: info, error } = infoSchema.safeParse(json);
  if (info === undefined) {
    throw damaged((error?.issues[0].path ?? []).filter((step) => typeof step === "string").join("."));
  }
  const { tokenizer, separator, bos = 0, lineBreak, largest = 0 } = info;
  const { special, specialIds } = tokenizer;
  const ids = { separator, bos, lineBreak, largest, "tokenizer.special": special, "tokenizer.specialIds": specialIds };
  for (const [key, value] of Object.entries(ids)) {
    const all = typeof value === "number" ? [value] : Object.values(value);
    if (all.some((id) => id >= tokenizer.vocabulary)) throw damaged(key);
  }
  return info;
}
