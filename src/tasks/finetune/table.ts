/**
 * Examples for fine-tuning from tables: TSV (no quoting, as GLUE's files are: a text that opens with `"` is plain), CSV
 * (quoted as in RFC 4180), JSON Lines. Which of them a file is, its content says. Columns go by name or, from 1, by number.
 */
import { readBlocks } from "../../data/text/blocks.ts";
import { beginsJsonLines } from "../../data/text/json-lines.ts";
import { decode } from "../../data/text/lines.ts";
import { UserError } from "../../util/errors.ts";
import { isJsonObject, parseJson, printable } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";

/** Columns of a file: the texts' (one, or two of a pair) and the label's. */
export interface Columns {
  readonly text: readonly (string | number)[];
  readonly label: string | number;
  /** Whether the first line names the columns; default: where a column goes by its name. */
  readonly header?: boolean;
}

export interface Example {
  readonly texts: readonly string[];
  readonly label: string;
  readonly where: string;
}

interface Line {
  readonly cells: readonly string[];
  readonly where: string;
}

/** @throws UserError naming the line of what does not fit */
export async function readExamples(path: string, columns: Columns): Promise<readonly Example[]> {
  const text = await contentOf(path);
  const wanted = [...columns.text, columns.label];
  const rows = beginsJsonLines(Buffer.from(text.slice(0, 2 ** 16)))
    ? fromJson(text, path, wanted)
    : fromTable(text, path, columns, wanted);
  const examples = rows.map(
    ({ cells, where }): Example => ({ texts: cells.slice(0, -1), label: cells[cells.length - 1], where }),
  );
  if (examples.length === 0) throw new UserError("it holds no examples", path, "give a file with some");
  return examples;
}

async function contentOf(path: string): Promise<string> {
  const parts: string[] = [];
  try {
    for await (const block of readBlocks({ path, jsonl: false, reading: {} })) parts.push(decode(block));
  } catch (error) {
    throw systemError(error, path);
  }
  return parts.join("");
}

function fromJson(text: string, path: string, wanted: readonly (string | number)[]): readonly Line[] {
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const where = `${path}:${i + 1}`;
    const row = parseJson(line, where);
    if (!isJsonObject(row)) throw new UserError("not a JSON object", where, "JSON Lines hold one JSON object a line");
    const cells = wanted.map((name) => {
      const value = Object.hasOwn(row, name) ? row[name] : undefined;
      if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
      throw missing(name, Object.keys(row), where);
    });
    return [{ cells, where }];
  });
}

function fromTable(
  text: string,
  path: string,
  { header }: Columns,
  wanted: readonly (string | number)[],
): readonly Line[] {
  const lines = text.slice(0, text.search(/\r?\n|$/)).includes("\t") ? tabbed(text, path) : quoted(text, path);
  const named = wanted.some((column) => typeof column === "string");
  const names = (header ?? named) ? lines.shift()?.cells : undefined;
  if (named && names === undefined) {
    throw new UserError("columns go by name, and the file has no header", path, "give their numbers, from 1");
  }
  const places = wanted.map((column) => {
    const place = typeof column === "number" ? column - 1 : (names ?? []).indexOf(column);
    if (place < 0) throw missing(column, names ?? [], `${path}:1`);
    return place;
  });
  return lines.map(({ cells, where }) => {
    const lacking = places.find((place) => place >= cells.length);
    if (lacking === undefined) return { cells: places.map((place) => cells[place]), where };
    const what = `${cells.length} columns, and the ${lacking + 1}. is wanted`;
    throw new UserError(what, where, "mend the line, or name other columns in `data`");
  });
}

function missing(column: string | number, found: readonly string[], where: string): UserError {
  const list = found.slice(0, 8).map(printable).join(", ");
  return new UserError(
    `no column \`${column}\` (found: ${list || "none"})`,
    where,
    "name its columns in `data.text` and `data.label`",
  );
}

function tabbed(text: string, path: string): Line[] {
  return text
    .split(/\r?\n/)
    .flatMap((line, i) => (line === "" ? [] : [{ cells: line.split("\t"), where: `${path}:${i + 1}` }]));
}

function quoted(text: string, path: string): Line[] {
  const lines: Line[] = [];
  let cells: string[] = [];
  let line = 1;
  let first = 1;
  const cell = /(?:"((?:[^"]|"")*)"|([^,"\r\n][^,\r\n]*|))(,|\r?\n|$)/y;
  while (cell.lastIndex < text.length) {
    const from = cell.lastIndex;
    const found = cell.exec(text);
    if (found === null)
      throw new UserError(
        "a quote that does not end, or stands within a cell",
        `${path}:${line}`,
        'double quotes within a quoted cell ("")',
      );
    const [all, inner, plain, end] = found;
    cells.push(inner === undefined ? plain : inner.replaceAll('""', '"'));
    line += all.split("\n").length - 1;
    const more = end === "," && cell.lastIndex === text.length;
    if (more) cells.push("");
    if (end === "," && !more) continue;
    if (cells.length > 1 || cells[0] !== "") lines.push({ cells, where: `${path}:${first}` });
    [cells, first] = [[], line];
    if (cell.lastIndex === from) break;
  }
  return lines;
}
