/** A run whose documents are kept apart: other losses than joined ones from the first step, the same ones resumed. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { evaluateFolder } from "../../src/train/evaluate-folder.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { temporaryFolder } from "../support.ts";
import { bertConfig, gpt2Config, writeTopics } from "./data.ts";

const settings = (documents: string, objective: string) => `
out: ${documents}
model: {init: config.json}
data: {from: data}
objective: ${objective}
batch: {sequences: 8${documents === "apart" ? ", documents: apart" : ""}}
optimizer: {lr: 1e-2}
steps: 6
plan: {two-stage: {block: 1, share: 0.5}}
evaluate: {every: 3}
checkpoint: {every: 3}
engine: {kind: onnx, threads: 1}
`;

it.each([
  { config: gpt2Config, objective: "clm" },
  { config: bertConfig, objective: "mlm" },
])("$objective", async ({ config, objective }) => {
  const folder = temporaryFolder();
  await writeTopics(join(folder, "data"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const losses: number[] = [];
  for (const documents of ["joined", "apart"]) {
    const path = join(folder, `${documents}.yaml`);
    writeFileSync(path, settings(documents, objective));
    const { model, evaluation } = await pretrain(await loadRun(path));
    const options = { documents, sequences: 8, masked: 0.15, engine: "reference", threads: 1 };
    const evaluated = await evaluateFolder(model, join(folder, "data"), options);
    expect(evaluated.loss).toBeCloseTo(evaluation?.loss ?? 0, 4);
    losses.push(evaluated.loss);
    // The same model measured the other way says something else: the key is not ignored.
    const other = { ...options, documents: documents === "apart" ? "joined" : "apart" };
    expect((await evaluateFolder(model, join(folder, "data"), other)).loss).not.toBeCloseTo(evaluated.loss, 5);
  }
  expect(losses[0]).not.toBe(losses[1]);
});
