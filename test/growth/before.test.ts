/**
 * Growths repeat over versions: every method on every architecture gives the bytes it gave when test/growth/before was
 * written (by the version that mapped whole dimensions, before they were products of factors), and a growth.json of that
 * version still leads to them.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { OptionValues } from "../../src/growth/growth.ts";
import { type GrowthPlan, planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { evaluate, type TensorSource } from "../../src/growth/recipe.ts";
import { repeatedPlan } from "../../src/growth/repeat.ts";
import type { Model } from "../../src/model/architecture.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { elements } from "../../src/model/table.ts";
import { coefficientsOf } from "../../src/train/ligo.ts";
import { UserError } from "../../src/util/errors.ts";
import type { Json } from "../../src/util/json.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { RandomStream } from "../../src/util/random.ts";
import { source } from "./support.ts";

const before = join(packageRoot(), "test", "growth", "before");
const known: Record<string, string> = JSON.parse(readFileSync(join(before, "bytes.json"), "utf8"));

const bert = {
  model_type: "bert",
  architectures: ["BertForPreTraining"],
  vocab_size: 11,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  intermediate_size: 7,
  max_position_embeddings: 6,
};
const configs: Readonly<Record<string, Json>> = {
  bert,
  roberta: { ...bert, model_type: "roberta", architectures: ["RobertaForMaskedLM"], type_vocab_size: 1 },
  gpt2: { model_type: "gpt2", vocab_size: 11, n_embd: 8, n_layer: 2, n_head: 4, n_inner: 7, n_positions: 6 },
};

const shares: readonly OptionValues[] = [{}, { shares: "unequal" }, { shares: "noisy", noise: 3 }];
const choices: Readonly<Record<string, readonly OptionValues[]>> = {
  fpi: shares,
  aki: [{}, { scope: "units" }, { scope: "units", readout: "upper" }],
  direct: [{}],
  fresh: shares,
  lemon: shares.flatMap((options) => [options, { ...options, inner: "fresh" }]),
  hyperclone: [{}],
  quiet: [{}],
  tile: [{}],
  ligo: [{}],
};
const sizes: readonly TargetSizes[] = [{ ffn: 10 }, { hidden: 16, layers: 3 }, { hidden: 14, ffn: 16, layers: 3 }];

/** Every tensor of a plan, weights and moments, of a source whose numbers are a function of their names. */
async function add(hash: ReturnType<typeof createHash>, plan: GrowthPlan, model: Model): Promise<void> {
  const all = new Map(
    model.parameters.map((parameter) => {
      const random = new RandomStream(5, parameter.name);
      return [parameter.name, Float32Array.from({ length: elements(parameter) }, (_, i) => random.normal(i))] as const;
    }),
  );
  const read: TensorSource["read"] = async (name, start, count) =>
    (all.get(name) ?? new Float32Array()).subarray(start, start + count);
  hash.update(JSON.stringify([plan.growth.target.config, plan.promise.kind, plan.layers]));
  for (const { parameter, shape, weight, moments } of plan.parameters) {
    hash.update(JSON.stringify([parameter.name, shape]));
    for (const recipe of moments === undefined ? [weight] : [weight, moments.m, moments.v]) {
      hash.update(await evaluate(recipe, { read }));
    }
  }
  if (plan.method.learned !== true) return;
  for (const { name, shape, start } of coefficientsOf(plan)) {
    hash.update(JSON.stringify([name, shape]));
    hash.update(start);
  }
}

async function hashOf(config: Json, method: string): Promise<string> {
  const model = architectureOf(config, "test").model(config, "test");
  const hash = createHash("sha256");
  for (const options of choices[method]) {
    for (const size of sizes) {
      for (const [map, depth, moments] of [
        ["cyclic", "stack", "grow"],
        ["shuffled", "zero", "grow"],
        ["random", "interleave", "old-only"],
      ]) {
        try {
          const target = resizedModel(model, size);
          await add(hash, planGrowth(model, target, { method, options, map, depth, moments, seed: 7 }), model);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          hash.update(error.what);
        }
      }
    }
  }
  return hash.digest("hex");
}

describe.each(Object.keys(configs))("%s", (name) => {
  it.each(Object.keys(choices))("by %s grows into the same bytes", async (method) => {
    expect(await hashOf(configs[name], method)).toBe(known[`${name} ${method}`]);
  });
});

it.each(["bert-tiny", "gpt2-tiny"])("a growth.json of %s leads to what it was written beside", async (name) => {
  const from = await source(name);
  const { plan } = await repeatedPlan(from, join(before, `${name}.json`));
  const read: TensorSource["read"] = (tensor, start, count) => from.weights.readF32(tensor, start, count);
  const hash = createHash("sha256");
  for (const { weight } of plan.parameters) hash.update(await evaluate(weight, { read }));
  expect(hash.digest("hex")).toBe(known[name]);
});
