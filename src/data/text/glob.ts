/** Patterns for files, where a shell has not spelled them out: `*`, `?` and `[…]` in a name, `**` for folders below. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { byCodePoint } from "./order.ts";

export function isPattern(path: string): boolean {
  return /[*?[]/.test(path) && !existsSync(path);
}

/**
 * Files and folders that fit, in the order of their names by code point; hidden ones only where a pattern has the dot.
 * What lies in a folder that fits is left out: it comes with it.
 */
export async function matching(pattern: string): Promise<readonly string[]> {
  const { glob } = await import("tinyglobby");
  const options = { onlyFiles: false, expandDirectories: false, braceExpansion: false, extglob: false };
  const start = pattern.search(/[^/]*[*?[]/);
  const base = pattern.slice(0, start);
  const found = await glob(pattern.slice(start), { ...options, cwd: base || "." });
  const all = new Set(found.map((path) => join(base, path.replace(/\/$/, ""))));
  const isCovered = (path: string): boolean => {
    const above = dirname(path);
    return above !== path && (all.has(above) || isCovered(above));
  };
  return [...all].filter((path) => !isCovered(path)).sort(byCodePoint);
}
