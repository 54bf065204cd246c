/** The sweep over rates: steps of the run itself, the suggestion where the smoothed loss falls fastest, nothing written. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { findRate, type RateTried, steepest } from "../../src/train/find-rate.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { isEvaluation, readMetrics } from "../../src/train/run/metrics.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { cli, temporaryFolder } from "../support.ts";
import { gpt2Config, writeData, writeRun } from "./data.ts";

const folder = temporaryFolder();
let yaml = "";
beforeAll(async () => {
  mkdirSync(join(folder, "data"));
  await writeData(join(folder, "data"));
  yaml = await writeRun(
    folder,
    gpt2Config,
    `out: out
model: {init: config.json, tokenizer: data/tokenizer}
data: {from: data}
objective: clm
batch: {sequences: 4, accumulate: 2}
optimizer: {lr: 1e-7, dropout: 0.1}
schedule: {warmup: 0, decay: constant}
steps: 3
evaluate: {every: 0}
log: {every: 1}
engine: {kind: onnx, precision: f32}
`,
  );
});

it("takes the run's own steps, one rate after the other, and leaves nothing", async () => {
  const before = readdirSync(folder);
  const { curve, suggestion } = await findRate(await loadRun(yaml), 60);
  expect(readdirSync(folder)).toEqual(before);
  for (const [i, { rate }] of curve.entries()) expect(rate / (1e-7 * 1e7 ** (i / 59))).toBeCloseTo(1, 12);
  // An exponential mean of 0.98 whose weights are made to add up to 1.
  const weights = curve.map((_, i) => 0.98 ** i);
  for (const [i, { smoothed }] of curve.entries()) {
    const own = weights.slice(0, i + 1).reverse();
    const sum = own.reduce((all, weight, j) => all + weight * curve[j].loss, 0);
    expect(smoothed).toBeCloseTo(sum / own.reduce((all, weight) => all + weight), 10);
  }
  expect(suggestion).toBe(steepest(curve));
  expect(suggestion).toBeGreaterThan(1e-5);
  expect(suggestion).toBeLessThan(0.5);
  // The first step is the run's first at this rate, dropout and all.
  const run = await pretrain(await loadRun(yaml));
  const lines = (await readMetrics(join(run.folder, "metrics.jsonl"))).filter((line) => !isEvaluation(line));
  expect(Number(JSON.parse(JSON.stringify(lines[0])).loss)).toBeCloseTo(curve[0].loss, 4);
});

it("suggests where a curve falls fastest, as numpy's gradient has it, the ends left out", () => {
  const curve = (loss: (step: number) => number): RateTried[] =>
    Array.from({ length: 100 }, (_, i) => ({ rate: 1e-7 * 1.2 ** i, loss: 0, smoothed: loss(i) }));
  const fall = (at: number) => curve((i) => 8 - 4 / (1 + Math.exp(at - i)));
  expect(steepest(fall(60))).toBe(fall(60)[60].rate);
  // Steeper still in the first ten steps, and in the last: neither counts.
  const ends = curve((i) => 8 - 4 / (1 + Math.exp(50 - i)) - (i > 4 ? 30 : 0) - (i === 99 ? 30 : 0));
  expect(steepest(ends)).toBe(ends[50].rate);
  expect(steepest(curve((i) => i))).toBe(null);
  expect(steepest([])).toBe(null);
});

it("ends where the loss has risen, prints what it found and draws it", () => {
  const words = ["pretrain", "run.yaml", "--set", "out=other", "--find-rate", "60", "--picture", "rate.svg"];
  const json = cli([...words, "--json"], { cwd: folder });
  expect(json, json.stderr).toMatchObject({ code: 0 });
  const { suggestion, curve }: { suggestion: number; curve: RateTried[] } = JSON.parse(json.stdout);
  expect(curve.length).toBeGreaterThan(20);
  const words2 = cli(words, { cwd: folder }).stdout;
  expect(words2).toContain(`suggested rate: ${suggestion.toExponential(1)}, where the smoothed loss falls fastest`);
  const svg = readFileSync(join(folder, "rate.svg"), "utf8");
  expect(svg).toContain(`>${suggestion.toExponential(1)}</text>`);
  expect(existsSync(join(folder, "other"))).toBe(false);
  const alone = cli(["pretrain", "run.yaml", "--picture", "rate.svg"], { cwd: folder });
  expect(alone).toMatchObject({ code: 2 });
  expect(alone.stderr).toContain("add --find-rate");
});
