import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { loadRun, spelledOut, stagesOf } from "../../src/train/run/settings.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";

it("the examples in docs/runs.md are runs, and the first one says the defaults", async () => {
  const text = readFileSync(join(packageRoot(), "docs", "runs.md"), "utf8");
  const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1]);
  expect(blocks).toHaveLength(5);
  const path = join(temporaryFolder(), "run.yaml");
  const load = (yaml: string) => {
    writeFileSync(path, yaml);
    return loadRun(path);
  };
  const short = "out: runs/wide\nmodel: {from: grown}\ndata: {from: data}\nobjective: mlm\nsteps: 1000\n";
  expect((await load(blocks[0])).settings).toEqual((await load(short)).settings);
  const { engine } = (await load(short + blocks[1])).settings;
  const python = join(dirname(path), ".venv", "bin", "python");
  const options = { python, device: "auto", mesh: { data: 4, fsdp: 2 }, ahead: 2 };
  expect(engine).toMatchObject({ kind: "xla", precision: "auto", options });
  // As the run folder keeps it, relative to itself.
  expect(spelledOut((await load(short + blocks[1])).settings).engine).toMatchObject({
    python: "../../.venv/bin/python",
  });
  const boundaries = [];
  for (const block of blocks.slice(2)) {
    const stages = await stagesOf(await load(short + block), 3, 1000);
    boundaries.push(stages.map((stage) => stage.end));
  }
  expect(boundaries).toEqual([[125, 300, 1000], [150, 300, 450, 600, 1000], [1000]]);
});
