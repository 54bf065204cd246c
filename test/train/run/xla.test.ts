/**
 * Runs on the XLA engine through the command line, against the same runs on ONNX: dropout's patterns are the same bits
 * and sums are f32 on both, so losses differ by rounding alone, which fifty steps of AdamW make no larger than 1e-5.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { xlaEngine } from "../../../src/engine/xla/engine.ts";
import { pretrain } from "../../../src/train/pretrain.ts";
import { loadRun } from "../../../src/train/run/settings.ts";
import { Interrupted } from "../../../src/util/errors.ts";
import { cli, temporaryFolder } from "../../support.ts";
import { bertConfig, gpt2Config, writeRun } from "../data.ts";

const found = await xlaEngine.probe();
if (!found.usable) console.warn(`skipped: the engine xla (${found.reason})`);

const yaml = (objective: string, plan: string) => `
out: out
model: {init: config.json}
data: {from: data}
objective: ${objective}
batch: {sequences: 4, accumulate: 2}
optimizer: {lr: 2e-3}
steps: 50
plan: ${plan}
evaluate: {every: 25, sequences: 16}
checkpoint: {every: 10, keep: 1}
log: {every: 1}
engine: {threads: 1}
`;

/** The losses of all steps, and those of the evaluations. */
function losses(out: string): { readonly steps: number[]; readonly evaluations: number[] } {
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return {
    steps: lines.filter(({ loss }) => loss !== undefined).map(({ loss }) => Number(loss)),
    evaluations: lines.flatMap(({ evaluation }) => (evaluation === undefined ? [] : [Number(evaluation.loss)])),
  };
}

/** The largest difference between two curves, as a share. */
function apart(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]) / b[i]));
}

describe.skipIf(!found.usable)("fifty steps with dropout and accumulation", () => {
  test.each([
    { objective: "mlm", config: bertConfig },
    { objective: "clm", config: gpt2Config },
  ])("of $config.model_type have ONNX's losses, and in bf16 nearly", async ({ objective, config }) => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, config, yaml(objective, "full"));
    const run = (name: string, ...sets: string[]) => {
      const done = cli(["pretrain", path, ...[`out=${name}`, ...sets].flatMap((set) => ["--set", set])]);
      expect(done.stderr).not.toContain("error");
      expect(done.code).toBe(0);
      return losses(join(folder, name));
    };
    const onnx = run("onnx", "engine.kind=onnx");
    expect(onnx.steps).toHaveLength(50);
    for (const [precision, within] of [
      ["f32", 1e-5],
      ["bf16", 5e-3],
    ] as const) {
      const xla = run(precision, "engine.kind=xla", `engine.precision=${precision}`);
      expect(apart(xla.steps, onnx.steps)).toBeLessThan(within);
      expect(apart(xla.evaluations, onnx.evaluations)).toBeLessThan(within);
    }
  });
});

test.skipIf(!found.usable)("a run of two stages that grows goes on from engine to engine on its curve", async () => {
  const folder = temporaryFolder();
  const plan = "[{name: small, steps: 20}, {name: large, grow: {layers: 4, ffn: 80, method: lemon}}]";
  const path = await writeRun(folder, gpt2Config, yaml("clm", plan));
  const engines = (name: string, ...kinds: readonly string[]) =>
    kinds.reduce(async (before, kind, i) => {
      await before;
      // The first is stopped among the small model's steps, the second among the large one's.
      const until = i + 1 === kinds.length ? undefined : [10, 30][i];
      let at = 0;
      const run = await loadRun(path, [`out=${name}`, `engine.kind=${kind}`]);
      const options = {
        progress: ({ step }: { readonly step: number }) => {
          at = step;
        },
        stopped: () => (at === until ? ("SIGINT" as const) : undefined),
      };
      if (until === undefined) await pretrain(run, options);
      else await expect(pretrain(run, options)).rejects.toThrow(Interrupted);
    }, Promise.resolve());
  await engines("one", "onnx");
  await engines("several", "onnx", "xla", "onnx");
  await engines("others", "xla", "onnx", "xla");
  const one = losses(join(folder, "one"));
  expect(one.steps).toHaveLength(50);
  for (const name of ["several", "others"]) {
    const { steps, evaluations } = losses(join(folder, name));
    expect(apart(steps, one.steps)).toBeLessThan(1e-5);
    expect(apart(evaluations, one.evaluations)).toBeLessThan(1e-5);
  }
});
