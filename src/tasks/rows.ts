/**
 * Examples in JSON Lines: a file (gzipped or not), a folder or a zip archive of such files. Files of a folder or an
 * archive that hold something else, as a README does, are passed over.
 */
import { createReadStream } from "node:fs";
import { readBlocks } from "../data/text/blocks.ts";
import { beginsJsonLines } from "../data/text/json-lines.ts";
import { decode } from "../data/text/lines.ts";
import { findSources } from "../data/text/sources.ts";
import { UserError } from "../util/errors.ts";
import { isJsonObject, type Json, type JsonValue, parseJson, printable } from "../util/json.ts";
import { statLasting, systemError } from "../util/system.ts";
import { zippedFiles } from "./zip.ts";

/** One line, and where it stands. */
export interface Line {
  readonly text: string;
  readonly where: string;
}

export interface Row {
  readonly values: Json;
  readonly where: string;
}

/** The lines of a file that are not blank, one at a time. @throws UserError for what is no text */
export async function* linesOf(path: string): AsyncGenerator<Line> {
  try {
    for await (const block of readBlocks({ path, jsonl: false, reading: {} })) {
      yield* split(decode(block), path, block.firstLine);
    }
  } catch (error) {
    throw systemError(error, path);
  }
}

function* split(text: string, path: string, first: number): Generator<Line> {
  for (const [i, line] of text.split("\n").entries()) {
    const plain = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (plain.trim() !== "") yield { text: plain, where: `${path}:${first + i}` };
  }
}

/** @throws UserError for a line that is no JSON object */
export async function* jsonRows(path: string): AsyncGenerator<Row> {
  let found = false;
  for await (const { text, where } of jsonLines(path)) {
    const values = parseJson(text, where);
    if (!isJsonObject(values))
      throw new UserError("not a JSON object", where, "JSON Lines hold one JSON object a line");
    found = true;
    yield { values, where };
  }
  if (!found) throw new UserError("no examples in it", path, "name JSON Lines: one JSON object a line");
}

async function* jsonLines(path: string): AsyncGenerator<Line> {
  const isFolder = await statLasting(path).then(
    (info) => info.isDirectory(),
    (error: unknown) => {
      throw systemError(error, path);
    },
  );
  const first = isFolder ? [] : await createReadStream(path, { end: 3 }).toArray();
  if (Buffer.concat(first).toString("latin1") === "PK\u0003\u0004") {
    for (const { name, bytes } of await zippedFiles(path)) {
      const content = bytes();
      const where = `${path}/${name}`;
      if (beginsJsonLines(content.subarray(0, 2 ** 16))) {
        yield* split(decode({ path: where, field: undefined, firstLine: 1, bytes: content, last: true }), where, 1);
      }
    }
  } else if (isFolder) {
    for (const source of await findSources([path])) {
      const lines = linesOf(source.path);
      const { value } = await lines.next();
      if (value === undefined || !beginsJsonLines(Buffer.from(`${value.text}\n`))) continue;
      yield value;
      yield* lines;
    }
  } else yield* linesOf(path);
}

/** What stands under one of these names; undefined where none is there. */
export function valueIn({ values }: Row, ...names: readonly string[]): JsonValue | undefined {
  const name = names.find((one) => Object.hasOwn(values, one));
  return name === undefined ? undefined : values[name];
}

/** As valueIn. @throws UserError if it is no text */
export function textIn(row: Row, ...names: readonly string[]): string | undefined {
  const value = valueIn(row, ...names);
  if (value === undefined || typeof value === "string") return value;
  const name = names.find((one) => Object.hasOwn(row.values, one));
  throw new UserError(`\`${name}\` is not a text`, row.where, "write it as a string");
}

/** As textIn, and must be there. @throws UserError */
export function needText(row: Row, ...names: readonly string[]): string {
  const text = textIn(row, ...names);
  if (text !== undefined) return text;
  const found = Object.keys(row.values).slice(0, 8).map(printable).join(", ");
  throw new UserError(
    `no \`${names[0]}\` (found: ${found || "none"})`,
    row.where,
    `name it \`${names.join("` or `")}\``,
  );
}
