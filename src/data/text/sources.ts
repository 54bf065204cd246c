/**
 * Which files a corpus is made of: what the user names, patterns spelled out (glob.ts), folders opened (every file below
 * them, in the order of their names by code point, hidden ones left out; of what `datasets` saved the files that its
 * state.json lists). A file named *.jsonl, *.ndjson or *.json (packed or not) holds JSON Lines; of any other its first
 * bytes say what it is (blocks.ts), else it is plain text. Tables as text are refused.
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { UserError } from "../../util/errors.ts";
import { isJsonObject, printable, readJsonObject } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";
import { isPattern, matching } from "./glob.ts";
import { byCodePoint } from "./order.ts";
import { unpackedName } from "./packings.ts";

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
  const name = unpackedName(path);
  const table = /\.(csv|tsv)$/i.exec(name)?.[1].toLowerCase();
  if (table !== undefined) {
    const columns = table === "tsv" ? ', delimiter="\\t"' : "";
    const rows = `csv.DictReader(sys.stdin${columns})`;
    const command = `python3 -c 'import csv, json, sys; [print(json.dumps(row)) for row in ${rows}]' < FILE > FILE.jsonl`;
    const wayOut = `make JSON Lines of it (${command}) and name the text's column with --field`;
    throw new UserError(`a table (${table.toUpperCase()}), not text`, path, wayOut);
  }
  return { path, jsonl: /\.(jsonl|ndjson|json)$/i.test(name), reading };
}

/** @throws UserError for what is not there, and for a corpus without any file */
export async function findSources(paths: readonly string[], reading: Reading = {}): Promise<readonly Source[]> {
  const sources: Source[] = [];
  for (const path of paths) {
    const found = isPattern(path) ? await matching(path) : [path];
    if (found.length === 0) throw new UserError("no file fits this pattern", path, "check it, or name the files");
    for (const one of found) await collect(one, [], reading, sources);
  }
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
    const there = (await readdir(path)).filter((name) => !name.startsWith(".")).sort(byCodePoint);
    for (const name of await savedFiles(path, there, reading))
      await collect(join(path, name), [...above, real], reading, sources);
  } catch (error) {
    throw systemError(error, path);
  }
}

const stateFile = "state.json";
const splitsFile = "dataset_dict.json";

/** What of a folder holds text, if `datasets` saved it (save_to_disk); else all of it. @param there the names in it */
async function savedFiles(folder: string, there: readonly string[], reading: Reading): Promise<readonly string[]> {
  const [file, key] = there.includes(splitsFile) ? [splitsFile, "splits"] : [stateFile, "_data_files"];
  if (!there.includes(file)) return there;
  const listed = (await readJsonObject(join(folder, file)))[key];
  if (!Array.isArray(listed)) return there;
  const names = listed.map((one) => (isJsonObject(one) ? one.filename : one));
  return names.map((name) => {
    if (typeof name !== "string" || name !== basename(name) || !there.includes(name)) {
      const wayOut = "save the dataset anew (save_to_disk)";
      throw new UserError(`it lists ${printable(String(name))}, which is not there`, join(folder, file), wayOut);
    }
    if (key === "splits") reading.note?.(`${folder}: the split ${printable(name)} is read`);
    return name;
  });
}
