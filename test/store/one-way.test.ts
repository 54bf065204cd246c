/** One way to write: what changes files is called in src/store/ alone, where it is made whole, synced and locked. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { packageRoot } from "../../src/util/paths.ts";

const writing = /^(writeFile|appendFile|copyFile|cp|rename|link|symlink|truncate|createWriteStream|write)(Sync)?$/;

it("no file outside src/store/ imports from node what writes, or opens a file to write it", () => {
  const root = join(packageRoot(), "src");
  const found: string[] = [];
  let imports = 0;
  for (const entry of readdirSync(root, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".ts")) continue;
    const text = readFileSync(join(root, entry), "utf8");
    for (const [, names, what] of text.matchAll(/import (?:type )?([^;]+?) from "node:(fs|fs\/promises)"/g)) {
      imports++;
      const named = /^\{([\s\S]*)\}$/.exec(names)?.[1].split(",") ?? [`all of ${what}`];
      for (const name of named.map(
        (each) =>
          each
            .trim()
            .replace(/^type /, "")
            .split(" as ")[0],
      )) {
        if (!entry.startsWith("store") && (writing.test(name) || name.startsWith("all of")))
          found.push(`${entry}: ${name}`);
      }
    }
    if (!entry.startsWith("store") && /\bopen(Sync)?\([^()]*, *["'](w|a|r\+)/.test(text)) found.push(`${entry}: open`);
  }
  expect(imports).toBeGreaterThan(20);
  expect(found).toEqual([]);
});
