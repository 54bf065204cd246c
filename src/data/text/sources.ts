/**
 * Which files a corpus is made of: what the user names, folders opened (every file below them, in the order of their
 * names by code point, hidden ones left out). A file named *.jsonl, *.ndjson or *.json (with .gz or without) holds JSON
 * Lines, any other holds plain text.
 */
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../util/errors.ts";
import { systemError } from "../../util/system.ts";

export interface Source {
  /** As named by the user, or that folder's name and the file's below it. */
  readonly path: string;
  /** "text": lines, a blank one between documents. "jsonl": one JSON object with a `text` a line, each a document. */
  readonly kind: "text" | "jsonl";
}

/** @throws UserError for what is not there, and for a corpus without any file */
export async function findSources(paths: readonly string[]): Promise<readonly Source[]> {
  const sources: Source[] = [];
  for (const path of paths) await collect(path, [], sources);
  if (sources.length === 0) {
    throw new UserError("no file to read", paths.join(", ") || "corpus", "name text files, or folders that hold some");
  }
  return sources;
}

async function collect(path: string, above: readonly string[], sources: Source[]): Promise<void> {
  try {
    if (!(await stat(path)).isDirectory()) {
      sources.push({ path, kind: /\.(jsonl|ndjson|json)(\.gz)?$/i.test(path) ? "jsonl" : "text" });
      return;
    }
    const real = await realpath(path);
    if (above.includes(real)) {
      throw new UserError("symbolic links that lead in a circle", path, "remove the link or name the files one by one");
    }
    const names = (await readdir(path)).filter((name) => !name.startsWith("."));
    for (const name of names.sort(byCodePoint)) await collect(join(path, name), [...above, real], sources);
  } catch (error) {
    throw systemError(error, path);
  }
}

function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
