/** `plan`: the speed it computes with is measured, it refuses what `pretrain` does, and it writes nothing. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { cli, temporaryFolder } from "../support.ts";
import { bertConfig, writeRun } from "./data.ts";

const folder = temporaryFolder();
let path: string;

const yaml = `
out: out
model: {init: config.json}
data: {from: data}
objective: mlm
batch: {sequences: 4, accumulate: 2}
steps: 40
plan: [{steps: 10}, {grow: {hidden: 32, layers: 8}}]
evaluate: {every: 0}
checkpoint: {every: 10}
engine: {kind: onnx, threads: 1}
`;

function plan(sets: readonly string[] = [], options: readonly string[] = [], env: Record<string, string> = {}) {
  const words = ["plan", path, ...sets.flatMap((set) => ["--set", set])];
  const { code, stdout, stderr } = cli([...words, "--json", ...options], { env });
  return { code, stderr, found: code === 0 ? JSON.parse(stdout) : undefined };
}

const tree = () =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${join(entry.parentPath, entry.name)} ${readFileSync(join(entry.parentPath, entry.name)).length}`)
    .sort();

beforeAll(async () => {
  path = await writeRun(folder, bertConfig, yaml);
});

it("measures the speed on the stage that takes longest, grown or not, and writes nothing", () => {
  const before = tree();
  const { code, stderr, found } = plan();
  expect(code, stderr).toBe(0);
  expect(tree()).toEqual(before);
  expect(stderr).toContain("engine: onnxruntime-node");
  expect(found.measured).toMatchObject({ stage: "stage-2", engine: expect.stringContaining("onnxruntime-node") });
  expect(found.measured.steps).toBeGreaterThan(0);
  expect(found).toMatchObject({ done: 0, left: found.flops, speed: found.measured.flops / 1e9 });
  expect(found.seconds).toBeCloseTo(found.left.exact / found.measured.flops, 9);
  // A step of a model this small takes some milliseconds: 100 GFLOP/s would be a guess.
  expect(found.speed).toBeLessThan(50);
});

it("only computes with a speed that is given, for an engine that is not here, and where it does not fit: and says which", () => {
  const given = plan([], ["--speed", "2"]);
  expect(given.found).toMatchObject({ speed: 2, measured: { unmeasured: "that was not asked for" } });
  expect(given.found.seconds).toBeCloseTo(given.found.flops.exact / 2e9, 9);
  expect(given.stderr).toBe("");
  const elsewhere = plan(["engine.kind=onednn"], [], { BERT2BERT_ONEDNN: "/nowhere/libdnnl.so" });
  expect(elsewhere.found).toMatchObject({ speed: null, seconds: null });
  expect(elsewhere.found.measured.unmeasured).toContain("the engine onednn can't run here");
  const large = plan(["batch.sequences=5000000"]);
  expect(large.found).toMatchObject({ speed: null });
  expect(large.found.measured.unmeasured).toContain("GB");
});

it("says what is left of a run that is under way", () => {
  const words = ["pretrain", path, "--set", "out=half", "--set", "plan=full", "--set", "steps=20"];
  expect(cli(words).code).toBe(0);
  const { found } = plan(["out=more", "model={from: half, step: 10}", "plan=full", "steps=20"]);
  expect(found).toMatchObject({ steps: 20, done: 10 });
  expect(found.left.exact).toBeCloseTo(found.flops.exact / 2, 0);
  const ended = plan(["out=half", "plan=full", "steps=20"]);
  expect(ended.found).toMatchObject({ done: 20, left: { exact: 0 }, measured: { unmeasured: "the run has ended" } });
});

it("refuses what pretrain refuses, in the same words", () => {
  mkdirSync(join(folder, "taken"));
  writeFileSync(join(folder, "taken", "notes.txt"), "mine");
  const before = tree();
  for (const sets of [
    ["engine.kind=onyx"],
    ["out=taken"],
    ["out=half", "plan=full", "steps=21"],
    ["model={from: half, step: 3}"],
    ["plan=[{steps: 10}, {grow: {hidden: 20}}]"],
  ]) {
    const planned = plan(sets);
    const run = cli(["pretrain", path, ...sets.flatMap((set) => ["--set", set])]);
    expect(planned.code, planned.stderr).toBe(2);
    expect(run.code).toBe(2);
    expect(planned.stderr).toBe(run.stderr);
  }
  expect(tree()).toEqual(before);
});
