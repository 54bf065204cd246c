/** Growing in memory, and running what was grown on the reference engine, for the tests of this room. */

import { type FloatDType, roundTo } from "../../src/checkpoint/dtype.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import {
  type GrowthChoices,
  type GrowthPlan,
  planGrowth,
  resizedModel,
  type TargetSizes,
} from "../../src/growth/plan.ts";
import { evaluate, type Recipe } from "../../src/growth/recipe.ts";
import { type OpenModel, openModel } from "../../src/model/load.ts";
import type { ProbeInputs } from "../../src/probe/inputs.ts";
import { type Computes, type Difference, randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { fixture } from "../support.ts";

export const fixtures = [
  "bert-tiny",
  "roberta-tiny",
  "gpt2-tiny",
  "llama-tiny",
  "qwen3-tiny",
  "modernbert-tiny",
  "distilbert-tiny",
];

const opened = new Map<string, Promise<OpenModel>>();

export function source(name: string): Promise<OpenModel> {
  const known = opened.get(name) ?? openModel(fixture(name));
  opened.set(name, known);
  return known;
}

export function reference(): Promise<Engine> {
  return referenceEngine.open({ threads: 1, precision: "f32" });
}

export async function planOf(name: string, sizes: TargetSizes, choices: GrowthChoices): Promise<GrowthPlan> {
  const { model } = await source(name);
  return planGrowth(model, resizedModel(model, sizes), choices);
}

/** The values of every tensor of a plan, worked out when asked for. */
export function grown(plan: GrowthPlan, from: Pick<Computes, "weights">, dtype: FloatDType = "F32"): Computes {
  const recipes = new Map<string, Recipe>(plan.parameters.map(({ parameter, weight }) => [parameter.name, weight]));
  return {
    model: plan.growth.target,
    weights: {
      async readF32(name) {
        const recipe = recipes.get(name);
        if (recipe === undefined) throw new Error(`nothing makes ${name}`);
        const read = (tensor: string, start: number, count: number) => from.weights.readF32(tensor, start, count);
        return roundTo(await evaluate(recipe, { read }), dtype);
      },
    },
  };
}

export interface Measured {
  readonly plan: GrowthPlan;
  readonly allowed: number | undefined;
  readonly kept: boolean;
  readonly shares: ReadonlyMap<string, number>;
  readonly largest: number;
}

/** Grows a fixture in memory and compares what it computes with what its source does. */
export async function measure(
  name: string,
  sizes: TargetSizes,
  choices: GrowthChoices,
  options: { dtype?: FloatDType; engine?: () => Promise<Engine>; inputs?: ProbeInputs } = {},
): Promise<Measured> {
  const from = await source(name);
  const plan = await planOf(name, sizes, choices);
  const dtype = options.dtype ?? "F32";
  const record = { choices: { ...choices, maps: plan.growth.drawn }, dtype, promise: plan.promise };
  const inputs = options.inputs ?? randomInputs(from.model, 1, 2, 9);
  const result = await verifyGrowth(from, grown(plan, from, dtype), record, inputs, options.engine ?? reference);
  const shares = new Map(
    result.differences.map((difference: Difference) => [difference.name, difference.alike ?? difference.share]),
  );
  return { plan, allowed: result.allowed, kept: result.kept, shares, largest: Math.max(...shares.values()) };
}
