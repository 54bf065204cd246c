/**
 * What each program costs, by its structure alone: steps by kind, the FLOPs of products, bytes that the steps touch, the
 * size of the scratch region. It depends on no processor, library or clock, so it may be held to the letter: a change
 * that makes a program slower in a way that can be counted fails here, and one that makes it faster is written down:
 *   UPDATE_STRUCTURE=1 npx vitest run test/engine/structure.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { planOf } from "../../src/engine/onednn/engine.ts";
import { bytesOf, type Plan, windowsOf } from "../../src/engine/onednn/steps.ts";
import { lower } from "../../src/engine/onnx/lower.ts";
import type { Plan as OnnxPlan } from "../../src/engine/onnx/plan.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { size } from "../../src/program/graph.ts";
import { buildStep } from "../../src/train/step/step.ts";

const path = new URL("./structure.json", import.meta.url);

const bert = (layers: number, width: number, vocabulary: number) => ({
  model_type: "bert",
  architectures: ["BertForMaskedLM"],
  vocab_size: vocabulary,
  hidden_size: width,
  num_hidden_layers: layers,
  num_attention_heads: width / 64,
  intermediate_size: 4 * width,
  max_position_embeddings: 512,
  hidden_act: "gelu",
});
const gpt2 = {
  model_type: "gpt2",
  architectures: ["GPT2LMHeadModel"],
  vocab_size: 50257,
  n_embd: 768,
  n_layer: 12,
  n_head: 12,
  n_positions: 1024,
  activation_function: "gelu_new",
};
const mlm = (batch: number, length: number, perSequence: number) =>
  ({ objective: "mlm", batch, length, perSequence }) as const;
const clm = { objective: "clm", batch: 2, length: 256, perSequence: 256 } as const;
const dropout = { dropout: { embedding: 0.1, attention: 0.1, hidden: 0.1 } };

/** The workloads of docs/results/cpu-speed.md. */
const workloads = {
  "BERT 6×384": { config: bert(6, 384, 8192), loss: mlm(16, 128, 20), train: 6 },
  "BERT 6×384, dropout 0.1": { config: bert(6, 384, 8192), loss: { ...mlm(16, 128, 20), ...dropout }, train: 6 },
  "BERT 6×384, top 2 of 6 trained": { config: bert(6, 384, 8192), loss: mlm(16, 128, 20), train: 2 },
  "BERT-base": { config: bert(12, 768, 30522), loss: mlm(8, 128, 20), train: 12 },
  "GPT-2 small": { config: gpt2, loss: clm, train: 12 },
} as const;

function counts({ steps, scratchBytes }: Plan): Record<string, number | Record<string, number>> {
  const kinds: Record<string, number> = {};
  let [flops, bytes] = [0, 0];
  for (const step of steps) {
    const kind = step.do === "kernel" ? step.name : `${step.do} (${step.of})`;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
    for (const { dims, type } of windowsOf(step)) bytes += size(dims) * bytesOf(type);
    if (step.do === "matmul") flops += 2 * size(step.c.dims) * (step.a.dims.at(-1) ?? 1);
  }
  return { flops, bytes, scratchBytes, steps: Object.fromEntries(Object.entries(kinds).sort()) };
}

/** Every fetched result is allocated and copied by onnxruntime: its bytes are what a graph costs beside its work. */
function onnxCounts({ steps, scratch }: OnnxPlan): Record<string, number | Record<string, number>> {
  const bytes = (tensors: readonly { readonly shape: readonly number[] }[]) =>
    tensors.reduce((sum, { shape }) => sum + 4 * size(shape), 0);
  const kinds: Record<string, number> = {};
  let [graphs, fetched, fed] = [0, 0, 0];
  for (const step of steps) {
    if (step.kind === "graph") {
      graphs++;
      fetched += bytes(step.fetches.map(({ tensor }) => tensor));
      fed += bytes(step.feeds.map(({ tensor }) => tensor));
    } else kinds[step.op] = (kinds[step.op] ?? 0) + 1;
  }
  return { graphs, fetched, fed, scratch: bytes(scratch), host: Object.fromEntries(Object.entries(kinds).sort()) };
}

function found(): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const [name, { config, loss, train }] of Object.entries(workloads)) {
    const model = architectureOf(config, name).model(config, name);
    const { layers } = model.dimensions;
    const form = { loss, model: { layers, train }, head: true, accumulate: 1 };
    const { batch } = buildStep(model, form, { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 });
    for (const precision of ["f32", "bf16"] as const)
      all[`${name}, oneDNN, ${precision}`] = counts(planOf(batch, precision));
    all[`${name}, ONNX`] = onnxCounts(lower(batch));
  }
  return all;
}

test("every program costs what the committed table says", () => {
  const costs = found();
  if (process.env.UPDATE_STRUCTURE === "1") writeFileSync(path, `${JSON.stringify(costs, null, 2)}\n`);
  expect(costs).toEqual(JSON.parse(readFileSync(path, "utf8")));
});
