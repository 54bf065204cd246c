/**
 * Which files a corpus is made of: what the user names, folders opened (every file below them, in the order of their
 * names by code point, hidden ones left out). A file named *.jsonl, *.ndjson or *.json (with .gz or without) holds JSON
 * Lines; of any other its first bytes say whether it does (blocks.ts), else it is plain text. Tables are refused.
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../util/errors.ts";
import { systemError } from "../../util/system.ts";

export interface Source {
  /** As named by the user, or that folder's name and the file's below it. */
  readonly path: string;
  /** Whether its name says that it holds JSON Lines: one JSON object a line, each a document. */
  readonly jsonl: boolean;
  readonly reading: Reading;
}

/** How files are to be read. */
export interface Reading {
  /** The field that holds the text of JSON Lines; default `text`. */
  readonly field?: string;
  /** Takes what a person should know of how a file was read. */
  readonly note?: (text: string) => void;
}

/** What goes into a digest of what was made: nothing for the field that is meant where none is named. */
export function namedField({ field }: Reading): string | undefined {
  return field === "text" ? undefined : field;
}

/** One file. @throws UserError for a table */
export function sourceOf(path: string, reading: Reading = {}): Source {
  const table = /\.(csv|tsv)(\.gz)?$/i.exec(path)?.[1].toLowerCase();
  if (table !== undefined) {
    const columns = table === "tsv" ? ', delimiter="\\t"' : "";
    const rows = `csv.DictReader(sys.stdin${columns})`;
    const command = `python3 -c 'import csv, json, sys; [print(json.dumps(row)) for row in ${rows}]' < FILE > FILE.jsonl`;
    const wayOut = `make JSON Lines of it (${command}) and name the text's column with --field`;
    throw new UserError(`a table (${table.toUpperCase()}), not text`, path, wayOut);
  }
  return { path, jsonl: /\.(jsonl|ndjson|json)(\.gz)?$/i.test(path), reading };
}

/** @throws UserError for what is not there, and for a corpus without any file */
export async function findSources(paths: readonly string[], reading: Reading = {}): Promise<readonly Source[]> {
  const sources: Source[] = [];
  for (const path of paths) await collect(path, [], reading, sources);
  if (sources.length === 0) {
    throw new UserError("no file to read", paths.join(", ") || "corpus", "name text files, or folders that hold some");
  }
  return sources;
}

async function collect(path: string, above: readonly string[], reading: Reading, sources: Source[]): Promise<void> {
  try {
    if (!(await stat(path)).isDirectory()) {
      sources.push(sourceOf(path, reading));
      return;
    }
    const real = await realpath(path);
    if (above.includes(real)) {
      throw new UserError("symbolic links that lead in a circle", path, "remove the link or name the files one by one");
    }
    const names = (await readdir(path)).filter((name) => !name.startsWith("."));
    for (const name of names.sort(byCodePoint)) await collect(join(path, name), [...above, real], reading, sources);
  } catch (error) {
    throw systemError(error, path);
  }
}

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
