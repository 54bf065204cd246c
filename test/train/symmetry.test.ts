/** Whether copies come apart, as the metrics have it. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { applyGrowth } from "../../src/growth/apply.ts";
import { type GrowthChoices, planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { openModel } from "../../src/model/load.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { readMetrics } from "../../src/train/run/metrics.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { symmetryOf } from "../../src/train/symmetry.ts";
import { readJsonObject } from "../../src/util/json.ts";
import { fixture, temporaryFolder } from "../support.ts";
import { gpt2Config, writeRun } from "./data.ts";

const root = temporaryFolder();
let made = 0;

async function symmetryGrown(name: string, sizes: TargetSizes, choices: GrowthChoices) {
  const source = await openModel(fixture(name));
  const out = join(root, String(made++));
  await applyGrowth(planGrowth(source.model, resizedModel(source.model, sizes), choices), source, out);
  await source.close();
  const grown = await openModel(out);
  try {
    const measured = symmetryOf(grown.model, await readJsonObject(join(out, "growth.json")));
    return await measured?.((parameter) => grown.weights.readF32(parameter));
  } finally {
    await grown.close();
  }
}

describe("symmetry", () => {
  it.each(["bert-tiny", "gpt2-tiny"])(
    "of %s: 1 for copies, less for noise by its strength, about 0 for fresh units",
    async (name) => {
      const { model, close } = await openModel(fixture(name));
      await close();
      const { hidden, ffn, layers, heads } = model.dimensions;
      const all = (value: number) => new Array(layers).fill(value);
      const twice = { hidden: 2 * hidden };
      expect(await symmetryGrown(name, twice, { method: "fpi", map: "shuffled" })).toEqual(all(1));
      expect(await symmetryGrown(name, { heads: heads + 1 }, { method: "fpi", map: "random" })).toEqual(all(1));
      // Vectors with independent noise of a tenth of their power each: 1 / 1.1.
      for (const cosine of (await symmetryGrown(name, twice, { method: "hyperclone" })) ?? []) {
        expect(cosine).toBeGreaterThan(0.89);
        expect(cosine).toBeLessThan(0.93);
      }
      for (const cosine of (await symmetryGrown(name, { ffn: 2 * ffn }, { method: "fresh" })) ?? []) {
        expect(Math.abs(cosine ?? 1)).toBeLessThan(0.05);
      }
      expect(await symmetryGrown(name, { layers: layers + 1 }, { method: "fpi" })).toBeUndefined();
      if (name === "gpt2-tiny") {
        // What reads LEMON's mean units is random in each copy; the mean units themselves are no copies.
        for (const cosine of (await symmetryGrown(name, { hidden: 96 }, { method: "lemon" })) ?? []) {
          expect(cosine).toBeGreaterThan(0.9);
          expect(cosine).toBeLessThan(1);
        }
      }
    },
  );

  it("is the mean over copies of the cosine, by its definition", async () => {
    const { model, close } = await openModel(fixture("gpt2-tiny"));
    await close();
    const target = resizedModel(model, { ffn: 300 });
    const plan = planGrowth(model, target, { method: "fpi" });
    const { recordOf } = await import("../../src/growth/record.ts");
    const measured = symmetryOf(target, recordOf(plan, {}, "F32", false));
    const values = (name: string, count: number) =>
      Float32Array.from({ length: count }, (_, i) => Math.sin(i + name.length));
    const found = await measured?.(async (name) => values(name, 64 * 300));
    const weight = values("transformer.h.0.mlp.c_fc.weight", 64 * 300);
    const column = (j: number) => Array.from({ length: 64 }, (_, i) => weight[i * 300 + j]);
    const cosine = (a: number[], b: number[]) =>
      a.reduce((sum, value, i) => sum + value * b[i], 0) / Math.hypot(...a) / Math.hypot(...b);
    const wanted =
      Array.from({ length: 44 }, (_, j) => cosine(column(256 + j), column(j))).reduce((a, b) => a + b) / 44;
    expect(found?.[0]).toBeCloseTo(wanted, 5);
  });

  it("stands in the metrics: copies with equal shares never come apart, others do", async () => {
    const run = async (options: string) => {
      const folder = temporaryFolder();
      const yaml = `
out: out
model: {init: config.json}
data: {from: data}
objective: clm
batch: {sequences: 8}
optimizer: {lr: 1e-2, dropout: 0}
steps: 30
plan: [{steps: 10}, {grow: {hidden: 32, options: ${options}}}]
evaluate: {every: 10}
engine: {kind: onnx, threads: 1}
`;
      await pretrain(await loadRun(await writeRun(folder, gpt2Config, yaml)));
      const lines = await readMetrics(join(folder, "out", "metrics.jsonl"));
      return lines.flatMap((line) => ("evaluation" in line ? [line.symmetry] : []));
    };
    const [before, ungrown, grown, , last] = await run("{}");
    expect([before, ungrown]).toEqual([undefined, undefined]);
    expect(grown).toEqual([1, 1, 1]);
    expect(last).toEqual([1, 1, 1]);
    const unequal = await run("{shares: unequal}");
    expect(unequal[2]).toEqual([1, 1, 1]);
    for (const cosine of unequal[4] ?? []) expect(cosine).toBeLessThan(0.999);
    const noisy = await run("{shares: noisy, noise: 10}");
    for (const cosine of noisy[2] ?? []) expect(cosine).toBeLessThan(0.97);
  });
});
