/**
 * From a block's bytes to the lines of its documents: decoded strictly, blank lines turned into boundaries between
 * documents, JSON Lines unpacked.
 */
import { isUtf8 } from "node:buffer";
import { UserError } from "../../util/errors.ts";
import type { Block } from "./blocks.ts";
import { textOf } from "./json-lines.ts";

export interface Lines {
  /** Without their line breaks. In plain text none is blank; a JSON text may hold empty ones between paragraphs. */
  readonly texts: readonly string[];
  /** For each line 1 if a document ends before it. */
  readonly breaks: Uint8Array;
  /** Whether a document ends after the last line. */
  readonly breakAfter: boolean;
}

/** @throws UserError naming file and line for bad UTF-8, NUL bytes, and what is not JSON with a text */
export function parseLines(block: Block): Lines {
  const text = decode(block);
  const rows = text.split("\n");
  // What follows the last line break is no line.
  if (rows[rows.length - 1] === "") rows.pop();
  const texts: string[] = [];
  const starts: number[] = [];
  let open = false;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i].endsWith("\r") ? rows[i].slice(0, -1) : rows[i];
    if (block.field !== undefined) {
      if (row.trim() === "") continue;
      const inner = textOf(row, block.field, `${block.path}:${block.firstLine + i}`).split(/\r?\n/);
      while (inner.length > 0 && inner[inner.length - 1].trim() === "") inner.pop();
      while (inner.length > 0 && inner[0].trim() === "") inner.shift();
      starts.push(texts.length);
      for (const line of inner) texts.push(line);
      open = false;
    } else if (row.trim() === "") {
      starts.push(texts.length);
      open = false;
    } else {
      texts.push(row);
      open = true;
    }
  }
  const breaks = new Uint8Array(texts.length);
  for (const start of starts) if (start < texts.length) breaks[start] = 1;
  return { texts, breaks, breakAfter: block.last || !open };
}

/** Each document's lines as one text. */
export function joinLines({ texts, breaks, breakAfter }: Lines): Lines {
  const starts = [...texts.keys()].filter((i) => i === 0 || breaks[i] === 1);
  return {
    texts: starts.map((start, i) => texts.slice(start, starts[i + 1]).join("\n")),
    breaks: Uint8Array.from(starts, (start) => breaks[start]),
    breakAfter,
  };
}

/** A block's text. @throws UserError naming file and line for bad UTF-8 and NUL bytes */
export function decode(block: Block): string {
  const { bytes, path, firstLine } = block;
  const nul = bytes.indexOf(0);
  if (nul >= 0) {
    const where = `${path}:${firstLine + lineBreaks(bytes, nul)}`;
    throw new UserError("a NUL byte: this is binary, not text", where, "leave this file out, or extract its text");
  }
  if (!isUtf8(bytes)) {
    const where = `${path}:${firstLine + badLine(bytes)}`;
    throw new UserError("not UTF-8", where, "convert the file (iconv -f LATIN1 -t UTF-8 FILE > NEW), or mend the line");
  }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  return firstLine === 1 && text.startsWith("\ufeff") ? text.slice(1) : text;
}

/** How many lines stand before the first one that is not UTF-8. */
function badLine(bytes: Uint8Array): number {
  let line = 0;
  for (let start = 0; start < bytes.length; line++) {
    const at = bytes.indexOf(0x0a, start);
    const end = at < 0 ? bytes.length : at;
    if (!isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
  }
  return line;
}

function lineBreaks(bytes: Uint8Array, end: number): number {
  let count = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0 && at < end; at = bytes.indexOf(0x0a, at + 1)) count++;
  return count;
}
