import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadRun, stagesOf } from "../../src/train/run/settings.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";

it("the examples in docs/runs.md are runs, and the first one says the defaults", async () => {
  const text = readFileSync(join(packageRoot(), "docs", "runs.md"), "utf8");
  const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1]);
  expect(blocks).toHaveLength(3);
  const path = join(temporaryFolder(), "run.yaml");
  const load = (yaml: string) => {
    writeFileSync(path, yaml);
    return loadRun(path);
  };
  const short = "out: runs/wide\nmodel: {from: grown}\ndata: {from: data}\nobjective: mlm\nsteps: 1000\n";
  expect((await load(blocks[0])).settings).toEqual((await load(short)).settings);
  const boundaries = [];
  for (const block of blocks.slice(1)) {
    const stages = await stagesOf(await load(short + block), 3, 1000);
    boundaries.push(stages.map((stage) => stage.end));
  }
  expect(boundaries).toEqual([
    [125, 300, 1000],
    [150, 300, 450, 600, 1000],
  ]);
});
