/**
 * Examples for fine-tuning from tables: TSV (no quoting, as GLUE's files are: a text that opens with `"` is plain), CSV
 * (quoted as in RFC 4180), JSON Lines, Parquet, Arrow. Which of them a file is, its content says. Columns go by name or, of
 * TSV and CSV, by number from 1.
 */
import { readBlocks } from "../../data/text/blocks.ts";
import { beginsJsonLines } from "../../data/text/json-lines.ts";
import { decode } from "../../data/text/lines.ts";
import { tableFormatOf } from "../../data/text/tables.ts";
import { UserError } from "../../util/errors.ts";
import { type JsonValue, printable } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";
import { jsonRows, type Row } from "../rows.ts";

type Column = string | number;

/** Columns of a file: the texts' (one, or two of a pair) and the label's. */
export interface Columns {
  readonly text: readonly Column[];
  readonly label: Column;
  /** Whether the first line names the columns; default: where a column goes by its name. */
  readonly header?: boolean;
}

export interface Example {
  readonly texts: readonly string[];
  readonly label: string;
  readonly where: string;
}

/** What a line holds, and where it stands. */
export interface Line<Cell = string> {
  readonly cells: readonly Cell[];
  readonly where: string;
}

/** @throws UserError naming the line of what does not fit */
export async function readExamples(path: string, columns: Columns): Promise<readonly Example[]> {
  const rows = await readRows(path, columns);
  return rows.map(({ cells, where }) => {
    const texts = cells.map((cell, i) => {
      if (typeof cell === "string" || typeof cell === "number" || typeof cell === "boolean") return String(cell);
      const column = [...columns.text, columns.label][i];
      throw new UserError(`column \`${column}\` holds no text`, where, "write it as a string or a number");
    });
    return { texts: texts.slice(0, -1), label: texts[texts.length - 1], where };
  });
}

/**
 * The cells of these columns, the label's last, row by row.
 * @param own reads what is no table in a way of its own; undefined where it does not
 * @throws UserError naming the line of what does not fit
 */
export async function readRows(
  path: string,
  { text: texts, label, header }: Columns,
  own: (text: string, isJson: boolean) => readonly Line<JsonValue>[] | undefined = () => undefined,
): Promise<readonly Line<JsonValue>[]> {
  const wanted = [...texts, label];
  const format = await tableFormatOf(path).catch((error: unknown) => {
    throw systemError(error, path);
  });
  const read = async () => {
    if (format !== undefined) {
      const rows = await (await import("./columns.ts")).tableRows(path, format);
      return rows.map((values, i) => cellsOf({ values, where: `${path}, row ${i + 1}` }, wanted));
    }
    const text = await contentOf(path);
    const isJson = beginsJsonLines(Buffer.from(text.slice(0, 2 ** 16)));
    const found = own(text, isJson) ?? (isJson ? undefined : fromTable(text, path, header, wanted));
    if (found !== undefined) return found;
    const rows: Line<JsonValue>[] = [];
    for await (const row of jsonRows(path)) rows.push(cellsOf(row, wanted));
    return rows;
  };
  const rows = await read();
  if (rows.length === 0) throw new UserError("it holds no examples", path, "give a file with some");
  return rows;
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

function cellsOf({ values, where }: Row, wanted: readonly Column[]): Line<JsonValue> {
  const cells = wanted.map((name) => {
    if (Object.hasOwn(values, name) && values[name] !== null) return values[name];
    throw missing(name, Object.keys(values), where);
  });
  return { cells, where };
}

function fromTable(
  text: string,
  path: string,
  header: boolean | undefined,
  wanted: readonly Column[],
): readonly Line[] {
  const lines = text.slice(0, text.search(/\r?\n|$/)).includes("\t") ? tabbed(text, path) : quoted(text, path);
  const named = wanted.some((column) => typeof column === "string");
  const names = (header ?? named) ? (lines.shift()?.cells ?? []) : [];
  if (named && header === false) {
    throw new UserError("columns go by name, and the file has no header", path, "give their numbers, from 1");
  }
  const places = wanted.map((column) => {
    const place = typeof column === "number" ? column - 1 : names.indexOf(column);
    if (place < 0) throw missing(column, names, `${path}:1`);
    return place;
  });
  return lines.map(({ cells, where }) => {
    const lacking = places.find((place) => place >= cells.length);
    if (lacking === undefined) return { cells: places.map((place) => cells[place]), where };
    const what = `${cells.length} columns, and the ${lacking + 1}. is wanted`;
    throw new UserError(what, where, "mend the line, or name other columns in `data`");
  });
}

function missing(column: Column, found: readonly string[], where: string): UserError {
  const list = found.slice(0, 8).map(printable).join(", ");
  const what = `no column \`${column}\` (found: ${list || "none"})`;
  return new UserError(what, where, "name its columns in `data.text` and `data.label`");
}

function tabbed(text: string, path: string): Line[] {
  return text
    .split(/\r?\n/)
    .flatMap((line, i) => (line === "" ? [] : [{ cells: line.split("\t"), where: `${path}:${i + 1}` }]));
}

function quoted(text: string, path: string): Line[] {
  const lines: Line[] = [];
  let cells: string[] = [];
  let [at, line, first] = [0, 1, 1];
  for (const [all, inner, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n][^,\r\n]*|))(,|\r?\n|$)/gy)) {
    cells.push(plain ?? inner.replaceAll('""', '"'));
    at += all.length;
    line += all.split("\n").length - 1;
    if (end === ",") continue;
    if (cells.length > 1 || cells[0] !== "") lines.push({ cells, where: `${path}:${first}` });
    [cells, first] = [[], line];
  }
  if (at === text.length) return lines;
  const what = "a quote that does not end, or stands within a cell";
  throw new UserError(what, `${path}:${line}`, 'double quotes within a quoted cell ("")');
}
