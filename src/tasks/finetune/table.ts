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

interface Line {
  readonly cells: readonly string[];
  readonly where: string;
}

/** Columns of a file: the texts' (one, or two of a pair), the label's, and where asked for what a row is known by. */
export interface Columns {
  readonly text: readonly Column[];
  readonly label: Column;
  readonly id?: Column;
  /** Whether the first line names the columns; default: where a column goes by its name. */
  readonly header?: boolean;
}

/** What the columns of a row hold, and where it stands. */
export interface Cells<Cell = JsonValue> {
  readonly texts: readonly Cell[];
  /** Absent: it has none. */
  readonly label?: Cell;
  readonly id?: JsonValue;
  readonly where: string;
}

/** @param labelled whether each must have its label @throws UserError naming the line of what does not fit */
export async function readExamples(path: string, columns: Columns, labelled = true): Promise<readonly Cells<string>[]> {
  const rows = await readRows(path, columns, labelled);
  return rows.map(({ texts, label, id, where }) => {
    const plain = (cell: JsonValue, column: Column) => {
      if (typeof cell === "string" || typeof cell === "number" || typeof cell === "boolean") return String(cell);
      throw new UserError(`column \`${column}\` holds no text`, where, "write it as a string or a number");
    };
    const own = label === undefined ? undefined : plain(label, columns.label);
    if (labelled && own?.trim() === "")
      throw new UserError("its label is empty", where, "give it one, or leave it out");
    return { texts: texts.map((cell, i) => plain(cell, columns.text[i])), label: own, id, where };
  });
}

/**
 * What these columns hold, row by row.
 * @param own reads what is no table in a way of its own; undefined where it does not
 * @throws UserError naming the line of what does not fit
 */
export async function readRows(
  path: string,
  columns: Columns,
  labelled: boolean,
  own: (text: string, isJson: boolean) => readonly Cells[] | undefined = () => undefined,
): Promise<readonly Cells[]> {
  const format = await tableFormatOf(path).catch((error: unknown) => {
    throw systemError(error, path);
  });
  const ofRow = ({ values, where }: Row) => {
    const cells = new Map(Object.entries(values).filter(([, value]) => value !== null));
    const lacking = (name: Column) => missing(name, [...cells.keys()], where);
    return cellsOf(columns, labelled, where, (name) => cells.get(String(name)), lacking);
  };
  const read = async () => {
    if (format !== undefined) {
      const rows = await (await import("./columns.ts")).tableRows(path, format);
      return rows.map((values, i) => ofRow({ values, where: `${path}, row ${i + 1}` }));
    }
    const text = await contentOf(path);
    const isJson = beginsJsonLines(Buffer.from(text.slice(0, 2 ** 16)));
    const found = own(text, isJson) ?? (isJson ? undefined : fromTable(text, path, columns, labelled));
    if (found !== undefined) return found;
    const rows: Cells[] = [];
    for await (const row of jsonRows(path)) rows.push(ofRow(row));
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

/** @param cellOf undefined where there is no such column @param lacking what is then said of one that must be there */
function cellsOf(
  { text, label, id }: Columns,
  labelled: boolean,
  where: string,
  cellOf: (column: Column) => JsonValue | undefined,
  lacking: (column: Column) => UserError,
): Cells {
  const need = (column: Column) => {
    const cell = cellOf(column);
    if (cell === undefined) throw lacking(column);
    return cell;
  };
  const own = labelled ? need(label) : cellOf(label);
  return { texts: text.map(need), label: own, id: id === undefined ? undefined : need(id), where };
}

function fromTable(text: string, path: string, columns: Columns, labelled: boolean): readonly Cells[] {
  const lines = text.slice(0, text.search(/\r?\n|$/)).includes("\t") ? tabbed(text, path) : quoted(text, path);
  const { header } = columns;
  const named = [...columns.text, columns.label, columns.id].some((column) => typeof column === "string");
  const names = (header ?? named) ? (lines.shift()?.cells ?? []) : [];
  if (named && header === false) {
    throw new UserError("columns go by name, and the file has no header", path, "give their numbers, from 1");
  }
  const placeOf = (column: Column) => (typeof column === "number" ? column - 1 : names.indexOf(column));
  return lines.map(({ cells, where }) => {
    const lacking = (column: Column) => {
      const place = placeOf(column);
      if (place < 0) return missing(column, names, `${path}:1`);
      const what = `${cells.length} columns, and the ${place + 1}. is wanted`;
      return new UserError(what, where, "mend the line, or name other columns in `data`");
    };
    return cellsOf(columns, labelled, where, (column) => cells[placeOf(column)], lacking);
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
