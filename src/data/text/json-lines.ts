/** JSON Lines: a row's text, and how they are known by their first bytes. */
import { UserError } from "../../util/errors.ts";
import { isJsonObject, type JsonValue, printable } from "../../util/json.ts";

/** @param where file and line, for messages @throws UserError for what is not a JSON object with a text in this field */
export function textOf(row: string, field: string, where: string): string {
  let value: JsonValue;
  try {
    value = parseRow(row);
  } catch (error) {
    const reason = error instanceof Error ? printable(error.message) : "";
    throw new UserError(`not valid JSON (${reason})`, where, "JSON Lines hold one whole JSON object a line");
  }
  const wayOut = 'name the field that holds the text with --field, or write {"text": "…"} on each line';
  if (!isJsonObject(value)) throw new UserError("not a JSON object", where, wayOut);
  const text = Object.hasOwn(value, field) ? value[field] : undefined;
  if (typeof text !== "string") {
    const found = Object.keys(value).slice(0, 8).map(printable).join(", ");
    const name = `\`${printable(field)}\``;
    const what = text === undefined ? `no field ${name} (found: ${found || "none"})` : `${name} is not a string`;
    throw new UserError(what, where, wayOut);
  }
  // An escaped lone surrogate is no character; it becomes the replacement character, as in any decoder.
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** Whether the first two lines that are not blank are JSON objects, or as much of one as there is. */
export function beginsJsonLines(start: Uint8Array): boolean {
  const text = Buffer.from(start.buffer, start.byteOffset, start.byteLength).toString("utf8");
  const lines = text.replace(/^\ufeff/, "").split("\n");
  const last = lines.pop() ?? "";
  const whole = lines.filter((line) => line.trim() !== "").slice(0, 2);
  if (whole.length > 0) return whole.every(isRow);
  return isRow(last) || (last.length > 2 ** 12 && /^\s*\{\s*"[^"\\]*"\s*:/.test(last));
}

function isRow(line: string): boolean {
  try {
    return isJsonObject(parseRow(line));
  } catch {
    return false;
  }
}

/** One line. Python's json writes NaN and Infinity, which JSON does not have: they are read as null. */
function parseRow(row: string): JsonValue {
  try {
    return JSON.parse(row);
  } catch (error) {
    let inString = false;
    const strict = row.replace(/\\.|"|-?\b(?:NaN|Infinity)\b/g, (token) => {
      if (token === '"') inString = !inString;
      return inString || token === '"' || token.startsWith("\\") ? token : "null";
    });
    if (strict === row) throw error;
    return JSON.parse(strict);
  }
}
