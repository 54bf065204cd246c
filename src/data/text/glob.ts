/** Patterns for files, where a shell has not spelled them out: `*`, `?` and `[…]` in a name, `**` for folders below. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { byCodePoint } from "./order.ts";

export function isPattern(path: string): boolean {
  return /[*?[]/.test(path) && !existsSync(path);
}

/** Files and folders that fit, in the order of their names by code point; hidden ones only where a pattern has the dot. */
export async function matching(pattern: string): Promise<readonly string[]> {
  const [first, ...rest] = pattern.split("/").filter((part, i) => part !== "" || i === 0);
  const found = new Set<string>();
  const walk = async (folder: string, parts: readonly string[]): Promise<void> => {
    const [part, ...more] = parts;
    if (part === undefined) {
      found.add(folder);
      return;
    }
    if (!/[*?[]/.test(part)) {
      const place = join(folder, part);
      if (existsSync(place)) await walk(place, more);
      return;
    }
    if (part === "**") await walk(folder, more);
    const fits = part === "**" ? /^[^.]/ : expression(part);
    for (const entry of await readdir(folder === "" ? "." : folder, { withFileTypes: true }).catch(() => [])) {
      if (!fits.test(entry.name)) continue;
      const place = join(folder, entry.name);
      if (part !== "**") await walk(place, more);
      else if (entry.isDirectory()) await walk(place, parts);
    }
  };
  await walk(first === "" ? "/" : "", first === "" ? rest : [first, ...rest]);
  return [...found].sort(byCodePoint);
}

function expression(part: string): RegExp {
  const source = part.replace(/\[[!^]?\]?[^\]]*\]|[\s\S]/gu, (token) => {
    if (token === "*") return "[^/]*";
    if (token === "?") return "[^/]";
    if (token.length > 2 && token.startsWith("[")) {
      const [, not, inner] = /^\[([!^]?)([\s\S]*)\]$/.exec(token) ?? [];
      return `[${not === "" ? "" : "^"}${inner.replace(/[\\\]^]/g, "\\$&")}]`;
    }
    return token.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  });
  return new RegExp(`^${part.startsWith(".") ? "" : "(?!\\.)"}${source}$`, "u");
}
