/**
 * JSON from files of unknown origin: parsed strictly, with a limit on depth, and refused with a sentence instead of a
 * stack trace.
 *
 * JSON.parse does the work; one pass over the text beside it counts what JSON.parse does not report: how deep it
 * nests, how many members its objects were written with (more than the parsed objects hold means that a key was
 * given twice), and whether a number is not a plain whole number.
 */
import { readFile, stat } from "node:fs/promises";
import { oneLine, UserError } from "./errors.ts";
import { systemError } from "./system.ts";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };
export type Json = { readonly [key: string]: JsonValue };

export interface JsonLimits {
  /** Deepest nesting of arrays and objects; default 64. */
  readonly depth?: number;
  /** Refuse an object that gives a key twice (JSON.parse keeps the last); default false. */
  readonly uniqueKeys?: boolean;
  /** Largest file that `readJsonObject` takes, in bytes; default 64 MiB. */
  readonly bytes?: number;
  /** Refuse a number with a sign, point or exponent; default false. */
  readonly naturalNumbers?: boolean;
}

/** @throws UserError naming `where` if the text is not JSON or breaks a limit */
export function parseJson(text: string, where: string, limits: JsonLimits = {}): JsonValue {
  const depth = limits.depth ?? 64;
  const seen = scan(text);
  if (seen.depth > depth) {
    const what = `JSON nested deeper than ${depth} levels`;
    throw new UserError(what, where, "no file of this kind does that: get it anew");
  }
  let value: JsonValue;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? printable(error.message) : "";
    throw new UserError(`not valid JSON (${reason})`, where, "mend it or get the file anew");
  }
  if (limits.naturalNumbers === true && !seen.natural) {
    throw new UserError("a number that is not a plain whole number", where, "get the file anew");
  }
  if (limits.uniqueKeys === true && countMembers(value) !== seen.members) {
    throw new UserError("a key is given twice in one object", where, "get the file anew");
  }
  return value;
}

/** As parseJson, and the outermost value must be an object. */
export function parseJsonObject(text: string, where: string, limits?: JsonLimits): Json {
  const value = parseJson(text, where, limits);
  if (!isJsonObject(value)) throw new UserError("not a JSON object", where, "it should start with { and end with }");
  return value;
}

/** Reads and parses a file that holds one JSON object. @throws UserError if it can't be read or parsed */
export async function readJsonObject(path: string, limits?: JsonLimits): Promise<Json> {
  const most = limits?.bytes ?? 2 ** 26;
  let bytes: Uint8Array;
  try {
    // Looked at before it is opened: a pipe would wait for its writer, and a huge file fill the memory.
    const info = await stat(path);
    if (!info.isFile()) throw new UserError("not a regular file", path, "name a JSON file");
    if (info.size > most) {
      throw new UserError(`${info.size} bytes of JSON, more than the ${most} expected here`, path, "get the file anew");
    }
    bytes = await readFile(path);
  } catch (error) {
    throw systemError(error, path);
  }
  return parseJsonObject(decodeUtf8(bytes, path), path, limits);
}

/** @throws UserError if the bytes are not UTF-8 */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UserError("not UTF-8 text", where, "save it as UTF-8, or get the file anew");
  }
}

export function isJsonObject(value: JsonValue | undefined): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A text of unknown origin, fit for one line of a message: control characters escaped, cut at 120 characters. */
export function printable(text: string): string {
  const line = oneLine(text);
  return line.length > 120 ? `${line.slice(0, 117)}...` : line;
}

function scan(text: string): { depth: number; members: number; natural: boolean } {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  let natural = true;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x22: // a string: on to its closing quote
        for (i++; i < text.length; i++) {
          const c = text.charCodeAt(i);
          if (c === 0x5c) i++;
          else if (c === 0x22) break;
        }
        break;
      case 0x7b: // {
      case 0x5b: // [
        deepest = Math.max(deepest, ++depth);
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        break;
      case 0x3a: // :
        members++;
        break;
      case 0x2d: // -
      case 0x2e: // .
      case 0x45: // E
        natural = false;
        break;
      case 0x65: // e, of a number only: those of true and false follow a letter
        if (/[0-9.]/.test(text.charAt(i - 1))) natural = false;
        break;
    }
  }
  return { depth: deepest, members, natural };
}

function countMembers(value: JsonValue): number {
  let count = 0;
  const open: JsonValue[] = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== "object" || next === null) continue;
    const inner = Object.values(next);
    if (!Array.isArray(next)) count += inner.length;
    for (const item of inner) if (typeof item === "object" && item !== null) open.push(item);
  }
  return count;
}
