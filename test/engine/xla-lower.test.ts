/** What the XLA engine's text says, without a Python: what lies as bf16, which attention is left to cuDNN. */
import { describe, expect, test } from "vitest";
import { fusedNodes } from "../../src/engine/xla/fused.ts";
import { lower } from "../../src/engine/xla/lower.ts";
import { storedAsHalves } from "../../src/engine/xla/storage.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import type { LossOptions } from "../../src/model/objectives.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { type Program, size } from "../../src/program/graph.ts";
import type { AttentionOptions } from "../../src/program/ops/attention.ts";
import * as ops from "../../src/program/ops/index.ts";
import { buildStep } from "../../src/train/step/step.ts";

const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 } as const;
const shared = { hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 128 };
const configs = {
  bert: { model_type: "bert", architectures: ["BertForMaskedLM"], ...shared, vocab_size: 600 },
  gpt2: {
    ...{ model_type: "gpt2", architectures: ["GPT2LMHeadModel"], n_embd: 64, n_layer: 2, n_head: 4, n_positions: 64 },
    vocab_size: 600,
  },
  llama: {
    ...{ model_type: "llama", architectures: ["LlamaForCausalLM"], ...shared, num_key_value_heads: 2, vocab_size: 600 },
  },
} as const;

function step(kind: keyof typeof configs, given: Partial<LossOptions> = {}): Program {
  const config = configs[kind];
  const model = architectureOf(config, "a test").model(config, "a test");
  const objective = kind === "bert" ? "mlm" : "clm";
  const loss: LossOptions = { objective, batch: 8, length: 64, perSequence: 40, ...given };
  return buildStep(model, { loss, model: { layers: 2, train: 2 }, head: true, accumulate: 1 }, rule).batch;
}

const fused = (program: Program, mesh = {}) => lower(program, { halves: true, fused: true }, mesh).text;
const calls = (text: string, name: string) => text.split(`stablehlo.custom_call @__cudnn$${name}(`).length - 1;

describe("attention is left to cuDNN", () => {
  test.each(["bert", "gpt2", "llama"] as const)("in a step of %s, forward and back in every layer", (kind) => {
    const text = fused(step(kind));
    expect(calls(text, "fmhaSoftmax")).toBe(2);
    expect(calls(text, "fmhaSoftmaxBackward")).toBe(2);
    // No scores are made, [B, heads, T, T], nor those of grouped heads.
    expect(text).not.toMatch(/tensor<8x4x64x64x|tensor<8x2x128x64x/);
    expect(text).toContain(`\\22mask_type\\22:\\22${kind === "bert" ? "NO_MASK" : "CAUSAL"}\\22`);
  });

  test("padding is the sequences' lengths", () => {
    const text = fused(step("bert", { mask: true }));
    expect(calls(text, "fmhaSoftmax")).toBe(2);
    expect(text).toContain("\\22mask_type\\22:\\22PADDING\\22");
    expect(text).toMatch(/fmhaSoftmax\(.*\) \{.*tensor<8xi32>, tensor<8xi32>\) ->/);
  });

  test.each([
    ["its probabilities are dropped out", { dropout: { embedding: 0, attention: 0.1, hidden: 0 } }, 0],
    ["only what else is dropped out", { dropout: { embedding: 0.1, attention: 0, hidden: 0.1 } }, 2],
    ["documents are kept apart", { documents: true }, 0],
  ])("or not: %s", (_, options, expected) => {
    expect(calls(fused(step("gpt2", options)), "fmhaSoftmax")).toBe(expected);
  });

  test.each<[string, Omit<AttentionOptions, "heads">, number]>([
    ["causal in a window", { causal: true, window: 7 }, 1],
    ["a window both ways", { causal: false, window: 7 }, 0],
    ["as many keys a query head as there are", { causal: false, kvHeads: 1 }, 1],
  ])("%s", (_, form, expected) => {
    const b = new ProgramBuilder();
    const kvHeads = form.kvHeads ?? 2;
    const [q, k, v] = [2, kvHeads, kvHeads].map((heads, i) => b.input(`${i}`, [2, 16, 8 * heads]));
    b.output("out", ops.attention(b, q, k, v, { heads: 2, ...form }).out);
    const program = b.build();
    expect(fusedNodes(program).size).toBe(expected);
    const text = fused(program);
    // The key itself counts.
    if (form.window !== undefined && expected === 1) expect(text).toContain("\\22sliding_window_length\\22:8");
  });

  test("any other mask than padding's, and probabilities that are asked for", () => {
    for (const { prefix, probs } of [
      { prefix: false, probs: false },
      { prefix: true, probs: true },
    ]) {
      const b = new ProgramBuilder();
      const [q, k, v] = ["q", "k", "v"].map((name) => b.input(name, [2, 16, 16]));
      const bias = b.input("bias", [2, 16]);
      const made = ops.attention(b, q, k, v, { heads: 2, causal: false, bias, prefix });
      b.output("out", made.out);
      if (probs) b.output("probs", made.probs);
      expect(fusedNodes(b.build()).size).toBe(0);
    }
  });

  test("on each device its own sequences", () => {
    const text = fused(step("gpt2"), { data: 2, fsdp: 2 });
    expect(text.split("sdy.manual_computation(").length - 1).toBe(4);
    expect(text).toContain('manual_axes={"data", "fsdp"}');
    expect(text).toContain("\\22dimensions\\22:[\\222\\22,\\224\\22,\\2264\\22,\\2264\\22]");
  });

  test("not in f32", () => {
    expect(calls(lower(step("gpt2"), { halves: false, fused: true }).text, "fmhaSoftmax")).toBe(0);
  });
});

describe("what lies between operations as bf16", () => {
  test.each(["bert", "gpt2", "llama"] as const)("in a step of %s", (kind) => {
    const program = step(kind, { dropout: { embedding: 0.1, attention: 0.1, hidden: 0.1 } });
    const halves = storedAsHalves(program);
    const stored = (op: string, output = 0) =>
      program.nodes
        .filter(({ op: { name }, outputs }) => name === op && size(outputs[output].shape) >= 2 ** 14)
        .map(({ outputs }) => halves.has(outputs[output].id));
    // Activations, attention's probabilities, logits and their gradient.
    for (const [op, output] of [
      ["linear", 0],
      ["attention", 0],
      ["attention", 1],
      ["crossEntropyGrad", 0],
    ] as const) {
      expect(stored(op, output).length, op).toBeGreaterThan(0);
      expect(new Set(stored(op, output)), op).toEqual(new Set([true]));
    }
    // What a pattern keeps is scaled by no number of bf16; what the optimizer reads stays as it is.
    expect(new Set(stored("dropoutMask"))).toEqual(new Set([false]));
    const adamw = program.nodes.filter(({ op }) => op.name === "adamw");
    for (const { inputs } of adamw) expect(halves.has(inputs[1].id)).toBe(false);
  });

  test("logits are no f32 array", () => {
    const { text } = lower(step("gpt2"), { halves: true });
    expect(text).toMatch(/stablehlo.dot_general .*-> tensor<512x600xbf16>/);
    expect(text).not.toMatch(/stablehlo.dot_general .*-> tensor<512x600xf32>/);
  });

  test("a bias is added before its product is rounded, by the product's own kernel", () => {
    expect(lower(step("bert"), { halves: true }).text).not.toMatch(/stablehlo.add .* : tensor<\d+x\d+xbf16>/);
  });

  test("what a norm's gradient and the loss need of all rows is one pass each", () => {
    const { text } = lower(step("bert"), { halves: true });
    // Norms: the embeddings', two a layer, the head's.
    expect(text.split('"stablehlo.reduce"(').length - 1).toBe(6 + 1);
    expect(lower(step("bert"), { halves: false }).text).not.toContain('"stablehlo.reduce"(');
  });
});

test("updates come in the order of the states, whatever changes first: each is lent its own buffer", () => {
  const b = new ProgramBuilder();
  const [x, y, z] = ["x", "y", "z"].map((name) => b.state(name, [3]));
  b.update("z", ops.add(b, z, x));
  b.update("x", ops.add(b, x, y));
  const { updates, text } = lower(b.build(), { halves: false });
  expect(updates).toEqual(["x", "z"]);
  expect(text).toContain("%0 = stablehlo.add %arg2, %arg0 ");
  expect(text).toContain("return %1, %0 :");
});
