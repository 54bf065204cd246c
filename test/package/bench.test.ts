/** `npm run bench` builds what stands alone under bench/; what reaches into the sources must be left out, or nothing is built. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";

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

it("one of those runs on this Node as the sources are written", () => {
  const folder = temporaryFolder();
  const done = spawnSync(process.execPath, ["bench/run.mjs", "claims", folder], {
    cwd: packageRoot(),
    encoding: "utf8",
  });
  expect(done.status, done.stderr).toBe(0);
  expect(readdirSync(folder).sort()).toEqual(["claims.md", "grid.json", "grid.svg"]);
});
