import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { evaluateFolder } from "../../src/train/evaluate-folder.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { readMetrics } from "../../src/train/run/metrics.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { UserError } from "../../src/util/errors.ts";
import { cli, temporaryFolder } from "../support.ts";
import { bertConfig, gpt2Config, pairsConfig, writeRun } from "./data.ts";

const yaml = `
out: out
model: {init: config.json}
data: {from: data}
objective: mlm+nsp
batch: {sequences: 16, accumulate: 2}
optimizer: {lr: 1e-2, dropout: 0}
steps: 300
plan: {two-stage: {block: 2, share: 0.2}}
evaluate: {every: 300}
checkpoint: {every: 0}
log: {every: 10}
engine: {kind: onnx, threads: 1}
`;

it("a run on sentence pairs learns to tell them, and reports both losses", async () => {
  const folder = temporaryFolder();
  const path = await writeRun(folder, pairsConfig, yaml);
  const { model, evaluation } = await pretrain(await loadRun(path));
  const lines = await readMetrics(join(folder, "out", "metrics.jsonl"));
  const before = lines.flatMap((line) => ("evaluation" in line ? [line.evaluation] : []))[0];
  expect(before.next_sentence?.loss).toBeCloseTo(Math.LN2, 1);
  expect(evaluation?.next_sentence?.loss).toBeLessThan(0.45);
  expect(evaluation?.next_sentence?.accuracy).toBeGreaterThan(0.8);
  expect(evaluation?.loss).toBeLessThan(before.loss - 0.5);
  const training = lines.flatMap((line) => ("rate" in line ? [line] : []));
  expect(training).toHaveLength(30);
  for (const { loss, terms } of training) {
    expect(terms).toBeDefined();
    expect((terms?.mlm ?? 0) + (terms?.nsp ?? 0)).toBeCloseTo(loss, 5);
    expect(terms?.nsp_accuracy).toBeGreaterThan(0.2);
    expect(terms?.nsp_accuracy).toBeLessThanOrEqual(1);
  }
  expect(training.at(-1)?.terms?.nsp).toBeLessThan(0.5);
  const options = { objective: "mlm+nsp", sequences: 32, masked: 0.15, engine: "reference", threads: 1 };
  const evaluated = await evaluateFolder(model, join(folder, "data"), options);
  expect(evaluated.next_sentence?.loss).toBeCloseTo(evaluation?.next_sentence?.loss ?? 0, 4);
  expect(evaluated.next_sentence?.accuracy).toBeCloseTo(evaluation?.next_sentence?.accuracy ?? 0, 2);
  expect(evaluated.loss).toBeCloseTo(evaluation?.loss ?? 0, 4);
  const masked = cli(["evaluate", model, "--data", join(folder, "data"), "--json", "--engine", "onnx"]);
  expect(JSON.parse(masked.stdout)).not.toHaveProperty("next_sentence");
});

it("models without a next-sentence head, or with one token type, are refused with the way out", async () => {
  const refusal = async (config: object) => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, pairsConfig, yaml);
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    try {
      await pretrain(await loadRun(path));
    } catch (error) {
      if (error instanceof UserError) return error.message;
      throw error;
    }
    throw new Error("it was accepted");
  };
  expect(await refusal(bertConfig)).toMatch(/no head for objective mlm\+nsp.*use objective mlm,/s);
  expect(await refusal({ ...bertConfig, model_type: "roberta", architectures: ["RobertaForMaskedLM"] })).toMatch(
    /no head for objective mlm\+nsp.*use objective mlm,/s,
  );
  expect(await refusal(gpt2Config)).toMatch(/no head for objective mlm\+nsp.*use objective clm,/s);
  expect(await refusal({ ...pairsConfig, type_vocab_size: 1 })).toContain("a single token type");
});
