/**
 * A file read in blocks of whole lines, plain, packed (packings.ts) or of columns (tables.ts), told by its first bytes,
 * not by its name, so that a corpus
 * of any size passes through little memory and its blocks can be worked on by several threads. Where a block ends says
 * nothing: whoever reads blocks must come to the same result with other block sizes.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { hashFile } from "../../store/checksums.ts";
import { UserError } from "../../util/errors.ts";
import { printable } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";
import { beginsJsonLines } from "./json-lines.ts";
import { packings } from "./packings.ts";
import type { Source } from "./sources.ts";
import { asJsonLines, type TableFormat, tableFormatOf } from "./tables.ts";

/** Whole lines of one file, still as bytes. */
export interface Block {
  readonly path: string;
  /** Of JSON Lines: the field that holds a document's text. undefined: plain text, a blank line between documents. */
  readonly field: string | undefined;
  /** The number of the block's first line in the file, from 1. */
  readonly firstLine: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether the file ends here. */
  readonly last: boolean;
}

/** What was read of a file, whole once it has been read to its end. */
export interface Fingerprint {
  /** Bytes of the file as it lies on disk that were read. */
  bytes: number;
  sha256: string;
}

const BLOCK = 2 ** 20;
const CHUNK = 2 ** 18;
const LONGEST_LINE = 2 ** 26;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** The blocks of all files in order. @param fingerprints takes one of each file, filled in as readBlocks does */
export async function* readAll(sources: readonly Source[], fingerprints: Fingerprint[]): AsyncGenerator<Block> {
  for (const source of sources) {
    const fingerprint: Fingerprint = { bytes: 0, sha256: "" };
    fingerprints.push(fingerprint);
    yield* readBlocks(source, fingerprint);
  }
}

/**
 * The file's blocks in order; none for an empty file.
 * @param fingerprint filled in when the last block has been taken
 * @throws UserError for what can't be read, what is broken, a known binary format, a line of more than 64 MiB
 */
export async function* readBlocks(source: Source, fingerprint?: Fingerprint): AsyncGenerator<Block> {
  let pending: Uint8Array[] = [];
  let size = 0;
  let line = 1;
  const table = await tableFormatOf(source.path).catch((error: unknown) => {
    throw systemError(error, source.path);
  });
  const column = source.reading.field ?? "text";
  let field = source.jsonl || table !== undefined ? column : undefined;
  const take = (last: boolean): Block => {
    const bytes = new Uint8Array(size);
    let end = 0;
    for (const part of pending) {
      bytes.set(part, end);
      end += part.length;
    }
    const block = { path: source.path, field, firstLine: line, bytes, last };
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) line++;
    pending = [];
    size = 0;
    return block;
  };
  const content =
    table === undefined ? readContent(source.path, fingerprint) : readTable(table, source.path, column, fingerprint);
  for await (const chunk of content) {
    if (table === undefined && size === 0 && line === 1) {
      refuseOthers(chunk, source.path);
      if (field === undefined) field = fieldByContent(chunk, source);
    }
    const end = size + chunk.length >= BLOCK ? chunk.lastIndexOf(NEWLINE) + 1 : 0;
    if (end > 0) {
      pending.push(chunk.subarray(0, end));
      size += end;
      yield take(false);
    }
    if (end < chunk.length) {
      pending.push(chunk.subarray(end));
      size += chunk.length - end;
    }
    if (size > LONGEST_LINE) {
      const wayOut = "is it text? If it is, break its lines";
      throw new UserError("a line of more than 64 MiB", `${source.path}:${line}`, wayOut);
    }
  }
  if (size > 0 || line > 1) yield take(true);
}

async function* readTable(
  table: TableFormat,
  path: string,
  column: string,
  fingerprint: Fingerprint = { bytes: 0, sha256: "" },
): AsyncGenerator<Uint8Array> {
  const at = (bytes: number) => {
    fingerprint.bytes = bytes;
  };
  yield* asJsonLines(table, path, column, at);
  fingerprint.bytes = (await stat(path)).size;
  fingerprint.sha256 = await hashFile(path);
}

/** The file's bytes, unpacked if it is packed. */
async function* readContent(path: string, fingerprint?: Fingerprint): AsyncGenerator<Uint8Array> {
  const raw = readRaw(path, fingerprint);
  try {
    const { value: first } = await raw.next();
    if (first === undefined) return;
    const packing = packings.find((one) => one.first.every((byte, i) => first[i] === byte));
    const named = packings.find(({ suffix }) => suffix.test(path));
    if (packing === undefined && named !== undefined) {
      const wayOut = `get it anew, or drop ${path.slice(path.lastIndexOf("."))} from its name`;
      throw new UserError(`not a ${named.name} file, though its name says so`, path, wayOut);
    }
    if (packing === undefined) {
      yield first;
      yield* raw;
      return;
    }
    const wayOut = `get it anew (\`${packing.test}\` tests it)`;
    try {
      for await (const chunk of packing.unpack(startingWith(first, raw))) yield chunk;
    } catch (error) {
      if (!(error instanceof Error) || systemError(error) !== error) throw error;
      throw new UserError(`broken ${packing.name} file (${printable(error.message)})`, path, wayOut, { cause: error });
    }
  } catch (error) {
    throw systemError(error, path);
  } finally {
    // Whoever stops early has to leave the file closed.
    await raw.return(undefined);
  }
}

async function* startingWith<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first;
  yield* rest;
}

async function* readRaw(
  path: string,
  fingerprint: Fingerprint = { bytes: 0, sha256: "" },
): AsyncGenerator<Uint8Array, undefined> {
  const hash = createHash("sha256");
  const chunks: AsyncIterable<Uint8Array> = createReadStream(path, { highWaterMark: CHUNK });
  for await (const chunk of chunks) {
    fingerprint.bytes += chunk.length;
    hash.update(chunk);
    yield chunk;
  }
  fingerprint.sha256 = hash.digest("hex");
}

/** The field of the text, if the file's beginning is one of JSON Lines. */
function fieldByContent(start: Uint8Array, { path, reading }: Source): string | undefined {
  if (beginsJsonLines(start)) {
    const field = reading.field ?? "text";
    reading.note?.(`${path}: JSON Lines by its first bytes; the text is taken from \`${printable(field)}\``);
    return field;
  }
  if (reading.field === undefined) return undefined;
  throw new UserError("not JSON Lines: it has no fields", path, "leave out --field, or this file");
}

/** Formats that are often given as text, by their first bytes; null stands for any but 0. */
const formats: readonly (readonly [name: string, wayOut: string, first: readonly (number | null)[]])[] = [
  ["UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8 FILE > NEW", [0xff, 0xfe, 0, 0]],
  ["UTF-32 text", "convert it: iconv -f UTF-32 -t UTF-8 FILE > NEW", [0, 0, 0xfe, 0xff]],
  ["UTF-32 text", "convert it: iconv -f UTF-32LE -t UTF-8 FILE > NEW", [null, 0, 0, 0]],
  ["UTF-32 text", "convert it: iconv -f UTF-32BE -t UTF-8 FILE > NEW", [0, 0, 0, null]],
  ["UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW", [0xff, 0xfe]],
  ["UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW", [0xfe, 0xff]],
  ["UTF-16 text", "convert it: iconv -f UTF-16LE -t UTF-8 FILE > NEW", [null, 0, null, 0]],
  ["UTF-16 text", "convert it: iconv -f UTF-16BE -t UTF-8 FILE > NEW", [0, null, 0, null]],
  ["a zip archive", "unpack it first", [0x50, 0x4b, 0x03, 0x04]],
  ["bzip2-compressed", "unpack it first (bzip2 -d), or pack it with zstd, xz or gzip", [0x42, 0x5a, 0x68]],
  ["a PDF", "extract its text first", [0x25, 0x50, 0x44, 0x46, 0x2d]],
];

function refuseOthers(start: Uint8Array, path: string): void {
  for (const [name, wayOut, first] of formats) {
    const fits = first.every((byte, i) => (byte === null ? start[i] > 0 : start[i] === byte));
    if (fits) throw new UserError(`${name}, not UTF-8 text`, path, wayOut);
  }
  const carriage = start.indexOf(CARRIAGE_RETURN);
  if (carriage >= 0 && carriage < start.length - 1 && !start.includes(NEWLINE)) {
    throw new UserError("its lines end with CR alone", path, "convert it: tr '\\r' '\\n' < FILE > NEW");
  }
}
