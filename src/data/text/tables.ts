/**
 * Files of columns: Parquet, and Arrow as files and as streams (what `datasets` saves). One column is read, a page or a
 * batch at a time, and handed on as JSON Lines, a document a line, so that all that holds for those holds here too.
 */
import { isUtf8 } from "node:buffer";
import { open } from "node:fs/promises";
import { UserError } from "../../util/errors.ts";
import { printable } from "../../util/json.ts";
import { statLasting } from "../../util/system.ts";

/** A column's values in order, some at a time: texts, or null where there is none. */
export type Texts = AsyncIterable<readonly (string | null)[]>;

export interface TableFormat {
  readonly name: string;
  readonly first: readonly number[];
  /** @param at told how many bytes of the file are behind it @throws UserError, or an Error of the library's */
  read(path: string, column: string, at: (bytes: number) => void): Texts;
}

const formats: readonly TableFormat[] = [
  {
    name: "Parquet",
    first: [0x50, 0x41, 0x52, 0x31],
    read: async function* (...words) {
      yield* (await import("./parquet.ts")).readParquet(...words);
    },
  },
  arrow("Arrow", [0x41, 0x52, 0x52, 0x4f, 0x57, 0x31, 0, 0], 8),
  arrow("Arrow stream", [0xff, 0xff, 0xff, 0xff], 0),
];

/** @param start where the stream begins */
function arrow(name: string, first: readonly number[], start: number): TableFormat {
  return {
    ...{ name, first },
    read: async function* (...words) {
      yield* (await import("./arrow.ts")).readArrow(...words, start);
    },
  };
}

/** The format of a file of columns, by its first bytes; undefined for any other. */
export async function tableFormatOf(path: string): Promise<TableFormat | undefined> {
  await statLasting(path);
  await using file = await open(path);
  const start = new Uint8Array(8);
  const { bytesRead } = await file.read(start, 0, start.length, 0);
  return formats.find(({ first }) => first.length <= bytesRead && first.every((byte, i) => start[i] === byte));
}

const GATHER = 2 ** 18;

/** The column as JSON Lines, each an object with this one field. @throws UserError */
export async function* asJsonLines(
  format: TableFormat,
  path: string,
  column: string,
  at: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  const key = `{${JSON.stringify(column)}:`;
  let lines: string[] = [];
  let size = 0;
  const take = () => {
    const bytes = Buffer.from(lines.join(""), "utf8");
    lines = [];
    size = 0;
    return bytes;
  };
  try {
    for await (const texts of format.read(path, column, at)) {
      for (const text of texts) {
        const line = `${key}${JSON.stringify(text)}}\n`;
        lines.push(line);
        size += line.length;
        if (size >= GATHER) yield take();
      }
    }
    if (size > 0) yield take();
  } catch (error) {
    if (error instanceof UserError || !(error instanceof Error)) throw error;
    const what = `broken ${format.name} file, or of a kind that is not read (${printable(error.message)})`;
    throw new UserError(what, path, "get it anew, or write its text as JSON Lines", { cause: error });
  }
}

/** @throws UserError for a column that is missing, or is none of texts @param kind of the column; undefined: it is missing */
export function checkColumn(path: string, column: string, kind: string | undefined, found: readonly string[]): void {
  const wayOut = "name the column that holds the text with --field";
  const name = `\`${printable(column)}\``;
  if (kind === undefined) {
    const there = found.slice(0, 8).map(printable).join(", ");
    throw new UserError(`no column ${name} (found: ${there || "none"})`, path, wayOut);
  }
  if (kind !== "text") throw new UserError(`column ${name} is not text but ${kind}`, path, wayOut);
}

/** @throws UserError for what is not UTF-8 */
export function checkUtf8(path: string, bytes: Uint8Array): void {
  if (!isUtf8(bytes)) throw new UserError("a text that is not UTF-8", path, "write the file anew with texts as UTF-8");
}
