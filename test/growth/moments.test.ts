/**
 * The rule that moments grow by: where the grown model computes its source's function, the gradient of every parameter
 * is the source's gradient, gathered and divided by the copies on each out dimension. Held against differentiation.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyGrowth } from "../../src/growth/apply.ts";
import { depthRules } from "../../src/growth/depth.ts";
import { methods } from "../../src/growth/methods.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { constant, evaluate, type TensorSource } from "../../src/growth/recipe.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { openModel } from "../../src/model/load.ts";
import { elements, shapeOf } from "../../src/model/table.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import type { Json } from "../../src/util/json.ts";
import { temporaryFolder } from "../support.ts";
import { bertConfig, writeRun } from "../train/data.ts";
import { worst } from "./support.ts";

const bert = {
  model_type: "bert",
  architectures: ["BertForPreTraining"],
  vocab_size: 13,
  hidden_size: 6,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 5,
  max_position_embeddings: 7,
  type_vocab_size: 2,
};
const roberta = { ...bert, model_type: "roberta", architectures: ["RobertaForMaskedLM"], type_vocab_size: 1 };
const gpt2 = { model_type: "gpt2", vocab_size: 13, n_embd: 6, n_layer: 2, n_head: 2, n_inner: 5, n_positions: 7 };
const configs: readonly Json[] = [bert, roberta, gpt2];
const today = { ...bert, architectures: null, num_attention_heads: 1, type_vocab_size: null, pad_token_id: 0 };
const others: readonly Json[] = [
  { ...today, model_type: "distilbert", hidden_dim: 5, tie_word_embeddings: false },
  { ...today, model_type: "modernbert", local_attention: 4, bos_token_id: 1, eos_token_id: 2, mlp_bias: true },
  { ...today, model_type: "llama", tie_word_embeddings: false },
  { ...today, model_type: "qwen3", tie_word_embeddings: true, head_dim: 4, num_key_value_heads: 1 },
];

const cases = fc.record({
  width: fc.constantFrom(1, 2, 3),
  ffn: fc.integer({ min: 5, max: 17 }),
  map: fc.constantFrom("cyclic", "shuffled"),
  seed: fc.nat(2 ** 31),
});

describe.each([...configs, ...others].map((config) => [config.model_type, config] as const))(
  "the moments of a grown %s",
  (_name, config) => {
    const model = architectureOf(config, "test").model(config, "test");

    it("are its gradients' for every parameter, whatever the maps", async () => {
      await fc.assert(
        fc.asyncProperty(cases, async ({ width, ffn, map, seed }) => {
          const target = resizedModel(model, { hidden: width * model.dimensions.hidden, ffn });
          const plan = planGrowth(model, target, { method: "fpi", map, seed });
          expect(plan.promise.kind).toBe("exact");
          const { name, off } = await worst(plan, seed);
          expect(off, name).toBeLessThan(2e-5);
        }),
        { numRuns: 15 },
      );
    });

    it("are with unequal shares of the FFN too; where the stream grows unevenly they start at 0", async () => {
      for (const seed of [1, 2]) {
        const choices = { method: "fpi", options: { shares: "unequal" }, seed };
        const inner = planGrowth(model, resizedModel(model, { ffn: 13 }), { ...choices, map: "random" });
        const { name, off } = await worst(inner, seed);
        expect(off, name).toBeLessThan(2e-5);
        const wide = planGrowth(model, resizedModel(model, { hidden: 12 }), choices);
        expect(wide.parameters.every(({ moments }) => moments === undefined)).toBe(true);
      }
    });

    it("would not be with the weights' rule: the check can fail", async () => {
      const plan = planGrowth(model, resizedModel(model, { hidden: 12 }), { method: "fpi" });
      const parameters = plan.parameters.map((planned) => ({
        ...planned,
        moments: { m: planned.weight, v: planned.weight, stepsOf: planned.parameter.name },
      }));
      expect((await worst({ ...plan, parameters }, 1)).off).toBeGreaterThan(0.3);
    });

    it("start at 0 for new units, or are left out, where that is asked for", async () => {
      const target = resizedModel(model, { hidden: 12, layers: 3 });
      const plan = planGrowth(model, target, { method: "fpi", moments: "old-only" });
      const ones: TensorSource = { read: async (_name, _start, count) => new Float32Array(count).fill(1) };
      for (const { parameter, moments } of plan.parameters) {
        if ((parameter.layer ?? 0) > 1) {
          expect(moments, parameter.name).toBeUndefined();
          continue;
        }
        const made = await evaluate(moments?.m ?? plan.parameters[0].weight, ones);
        const kept = model.parameters.find((p) => p.kind === parameter.kind && p.layer === parameter.layer);
        expect(made.filter((value) => value !== 0)).toHaveLength(kept === undefined ? -1 : elements(kept));
      }
      const dropped = planGrowth(model, target, { method: "fpi", moments: "drop" });
      expect(dropped.parameters.every(({ moments }) => moments === undefined)).toBe(true);
    });
  },
);

describe("a parameter with entries whose moments start at 0", () => {
  const ones: TensorSource = { read: async (_name, _start, count) => new Float32Array(count).fill(1) };
  const sizes = { hidden: 12, heads: 4, ffn: 11, layers: 3 };

  it("starts its step count at 0, and no other does, by every method, depth rule and map", async () => {
    const seen = { some: 0, none: 0 };
    for (const config of configs) {
      const model = architectureOf(config, "test").model(config, "test");
      // LayerNorms all of them, which isometric refuses.
      for (const method of methods.filter(({ name }) => name !== "isometric")) {
        for (const depth of depthRules) {
          for (const moments of ["grow", "old-only"]) {
            const plan = planGrowth(model, resizedModel(model, sizes), {
              method: method.name,
              depth: depth.name,
              moments,
            });
            for (const { parameter, moments: state } of plan.parameters) {
              if (state === undefined) continue;
              const made = await evaluate(state.v, ones);
              const starts = made.some((value) => value === 0);
              expect(state.stepsOf === undefined, `${method.name}, ${moments}: ${parameter.name}`).toBe(starts);
              seen[starts ? "some" : "none"]++;
            }
          }
        }
      }
    }
    expect(Math.min(seen.some, seen.none)).toBeGreaterThan(100);
  });

  it("moves no new entry further than the rate allows in the first steps", async () => {
    const root = temporaryFolder();
    const config = { ...bertConfig, hidden_size: 16, num_attention_heads: 2, intermediate_size: 32 };
    const yaml = (out: string, model: string, steps: number) => `
out: ${out}
model: ${model}
data: {from: data}
objective: mlm
batch: {sequences: 8}
steps: ${steps}
optimizer: {lr: 1e-3, weight_decay: 0, betas: [0, 0.999]}
schedule: {warmup: 0, decay: constant}
engine: {kind: onnx, threads: 1}
`;
    const first = await writeRun(root, config, yaml("small", "{init: config.json}", 60));
    await pretrain(await loadRun(first));
    const source = await openModel(join(root, "small", "checkpoints", "step-60"));
    const plan = planGrowth(source.model, resizedModel(source.model, { hidden: 24 }), { method: "direct" });
    await applyGrowth(plan, source, join(root, "grown"));
    await source.close();
    const second = join(root, "second.yaml");
    writeFileSync(second, yaml("large", "{from: grown}", 1));
    await pretrain(await loadRun(second));
    const [before, after] = [await openModel(join(root, "grown")), await openModel(join(root, "large", "model"))];
    let most = 0;
    for (const { parameter, moments } of plan.parameters) {
      const made = await evaluate(moments?.v ?? constant(shapeOf(parameter), 0), ones);
      const [a, b] = [await before.weights.readF32(parameter.name), await after.weights.readF32(parameter.name)];
      a.forEach((value, i) => {
        if (made[i] === 0) most = Math.max(most, Math.abs(value - b[i]));
      });
    }
    await before.close();
    await after.close();
    // With 60 steps kept it would be √((1 − 0.999⁶¹) / (1 − 0.999)), which is 7.7.
    expect(most / 1e-3).toBeGreaterThan(0.99);
    expect(most / 1e-3).toBeLessThan(1.001);
  });
});
