/** `npm run bench` builds what stands alone under bench/; what reaches into the sources must be left out, or nothing is built. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { packageRoot } from "../../src/util/paths.ts";

it("the programs under bench/ that reach into src/ are those that its build leaves out", () => {
  const root = packageRoot();
  const { exclude }: { exclude: readonly string[] } = JSON.parse(
    readFileSync(join(root, "tsconfig.bench.json"), "utf8"),
  );
  const reaching = readdirSync(join(root, "bench"))
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `bench/${name}`)
    .filter((path) => /from "\.\.\/(src|test)\//.test(readFileSync(join(root, path), "utf8")));
  expect(reaching.sort()).toEqual(exclude.filter((path) => path.endsWith(".ts")).sort());
});
