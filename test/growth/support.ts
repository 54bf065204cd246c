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
import { evaluate, type Recipe, type TensorSource } from "../../src/growth/recipe.ts";
import type { Model } from "../../src/model/architecture.ts";
import { type OpenModel, openModel } from "../../src/model/load.ts";
import { elements } from "../../src/model/table.ts";
import type { ProbeInputs } from "../../src/probe/inputs.ts";
import { type ProbeTensor, probe } from "../../src/probe/probe.ts";
import { type Computes, type Difference, randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { RandomStream } from "../../src/util/random.ts";
import { fixture } from "../support.ts";

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
      async readF32(name, start = 0, count) {
        const recipe = recipes.get(name);
        if (recipe === undefined) throw new Error(`nothing makes ${name}`);
        const end = count === undefined ? undefined : start + count;
        const read = (tensor: string, start: number, count: number) => from.weights.readF32(tensor, start, count);
        return roundTo(await evaluate(recipe, { read }), dtype).subarray(start, end);
      },
    },
  };
}

/** Whether two are equal bit by bit: a matcher would look at each number by itself. */
export function same(a: Float32Array, b: Float32Array): boolean {
  const [x, y] = [a, b].map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength));
  return x.equals(y);
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

/** Weights with nothing at its usual 0 or 1, so that no rule holds by accident. */
export function random(model: Model, seed: number): Computes {
  return {
    model,
    weights: {
      async readF32(name, start = 0, count) {
        const parameter = model.parameters.find((p) => p.name === name);
        if (parameter === undefined) throw new Error(`no ${name}`);
        const numbers = new RandomStream(seed, name);
        const padding = parameter.init.kind === "normal" ? parameter.init.padding?.row : undefined;
        const width = elements(parameter) / parameter.dims[0].size;
        return Float32Array.from({ length: count ?? elements(parameter) - start }, (_, i) =>
          Math.floor((start + i) / width) === padding ? 0 : 0.4 * numbers.normal(start + i) + 0.3,
        );
      },
    },
  };
}

const differentiated = new WeakMap<Model, Map<number, ReturnType<typeof gradients>>>();

/** The same of random weights, worked out once. */
function gradientsOf(model: Model, seed: number): ReturnType<typeof gradients> {
  const known = differentiated.get(model) ?? new Map<number, ReturnType<typeof gradients>>();
  differentiated.set(model, known);
  const found = known.get(seed) ?? gradients(random(model, seed), seed);
  known.set(seed, found);
  return found;
}

async function gradients({ model, weights }: Computes, seed: number): Promise<ReadonlyMap<string, ProbeTensor>> {
  const inputs = randomInputs(model, seed, 3, 6);
  const labels = Int32Array.from(inputs.ids, (id) => (id * 7 + 3) % 13);
  const lm = { labels, weights: Float32Array.from(labels, (_, i) => (i % 3 === 0 ? 0.2 : 0)) };
  const nsp = model.outputs.nsp
    ? { labels: Int32Array.of(0, 1, 1), weights: Float32Array.of(0.3, 0.3, 0.4) }
    : undefined;
  const engine = await reference();
  try {
    return await probe(model, weights, { ...inputs, lm, nsp }, engine, { gradients: true });
  } finally {
    await engine.close();
  }
}

const ones: TensorSource = { read: async (_name, _start, count) => new Float32Array(count).fill(1) };

/**
 * How far the moments that the plan makes of the source's gradients are from the target's own, for the worst parameter.
 * @param all whether each entry of each parameter has moments; else those that start at 0 are left out
 */
export async function worst(plan: GrowthPlan, seed: number, all = true): Promise<{ name: string; off: number }> {
  const from = random(plan.growth.source, seed);
  const before = await gradientsOf(plan.growth.source, seed);
  const after = await gradients(grown(plan, from), seed);
  const read = (power: number): TensorSource => ({
    async read(name, start, count) {
      const gradient = before.get(`grad/${name}`)?.data ?? new Float32Array(0);
      return gradient.subarray(start, start + count).map((value) => value ** power);
    },
  });
  let found = { name: "", off: 0 };
  for (const { parameter, moments } of plan.parameters) {
    if (moments === undefined) {
      if (all) throw new Error(`${parameter.name} starts afresh`);
      continue;
    }
    const starts = all ? undefined : (await evaluate(moments.v, ones)).map((value) => Number(value === 0));
    const given = after.get(`grad/${parameter.name}`)?.data ?? new Float32Array(0);
    const own = starts === undefined ? given : given.map((value, i) => (starts[i] === 1 ? 0 : value));
    for (const [which, power] of [
      ["m", 1],
      ["v", 2],
    ] as const) {
      const made = await evaluate(moments[which], read(power));
      const [difference, norm] = [
        made.map((value, i) => value - own[i] ** power),
        own.map((value) => value ** power),
      ].map((x) => Math.hypot(...x));
      // Key biases have no gradient in theory: what is left is rounding.
      const off = norm < 1e-7 && Math.hypot(...made) < 1e-6 ? 0 : difference / norm;
      if (!(off <= found.off)) found = { name: `${which} of ${parameter.name}`, off };
    }
  }
  return found;
}
