/**
 * Runs on the XLA engine through the command line, against the same runs on ONNX: dropout's patterns are the same bits
 * and sums are f32 on both, so losses differ by rounding alone, which fifty steps of AdamW make no larger than 1e-5.
 */
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { xlaEngine } from "../../../src/engine/xla/engine.ts";
import { pretrain } from "../../../src/train/pretrain.ts";
import { loadRun } from "../../../src/train/run/settings.ts";
import { Interrupted } from "../../../src/util/errors.ts";
import { cli, temporaryFolder } from "../../support.ts";
import { bertConfig, gpt2Config, writeRun } from "../data.ts";
import { apart, losses, weightsApart } from "./curves.ts";

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

const forms: readonly (readonly [name: string, within: number, engine: string])[] = [
  ["f32", 1e-5, "{kind: xla, precision: f32}"],
  ["bf16", 5e-3, "{kind: xla, precision: bf16}"],
  ["over-data", 1e-5, "{kind: xla, mesh: {data: 2}}"],
  ["over-fsdp", 1e-5, "{kind: xla, mesh: {fsdp: 2}}"],
  ["bf16-over-fsdp", 5e-3, "{kind: xla, precision: bf16, mesh: {fsdp: 2}}"],
];

describe.skipIf(!found.usable).each([
  { objective: "mlm", config: bertConfig },
  { objective: "clm", config: gpt2Config },
])("fifty steps of $config.model_type, with dropout and accumulation,", ({ objective, config }) => {
  const folder = temporaryFolder();
  let path = "";
  const run = (name: string, ...sets: string[]) => {
    const done = cli(["pretrain", path, ...[`out=${name}`, ...sets].flatMap((set) => ["--set", set])]);
    expect(done.stderr).not.toContain("error");
    expect(done.code).toBe(0);
    return losses(join(folder, name));
  };
  let onnx: ReturnType<typeof run>;
  beforeAll(async () => {
    path = await writeRun(folder, config, yaml(objective, "full"));
    onnx = run("onnx", "engine.kind=onnx");
    expect(onnx.steps).toHaveLength(50);
  });

  // Each by itself: a program that was not compiled before takes ten seconds and more.
  test.each(forms)("%s: losses within %f of ONNX's at every step", async (name, within, engine) => {
    const xla = run(name, `engine=${engine}`);
    expect(apart(xla.steps, onnx.steps)).toBeLessThan(within);
    expect(apart(xla.evaluations, onnx.evaluations)).toBeLessThan(within);
    const weights = await weightsApart(join(folder, name), join(folder, "onnx"));
    if (within < 1e-4) expect(weights).toBeLessThan(1e-5);
    const figures = [apart(xla.steps, onnx.steps), apart(xla.evaluations, onnx.evaluations), weights];
    console.log(`${config.model_type}, ${name}: ${figures.map((figure) => figure.toExponential(1)).join(", ")}`);
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
        stopped: () => (until !== undefined && at >= until ? ("SIGINT" as const) : undefined),
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
