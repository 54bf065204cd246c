/**
 * Holds a grown model to its promise: source and grown model compute the same inputs, and what they compute is compared
 * as shares of the largest value.
 *
 * Logits are compared as they are; hidden states and the pooler's output through the maps, each target unit with the
 * source unit it was made from, at every layer where the depth stayed and at the last where it did not (what leaves a
 * norm before a tied head is shared among the copies, and added up again). The promise is about what the heads compute (the last hidden state and the pooler where there is no other head).
 *
 * Where the grown weights are stored in less than float32 three things are told apart. The source is taken as it is; but
 * the promise is about the source rounded alike, which is compared too. What the rule makes of that in float32 must keep
 * the promise. And what rounding those weights costs in this very model, measured, is allowed to the weights as stored.
 */
import { type FloatDType, roundTo } from "../checkpoint/dtype.ts";
import type { Engine } from "../engine/engine.ts";
import { type AxisMaps, copiesOf, type UnitMap } from "../growth/maps.ts";
import { type GrowthPlan, planGrowth } from "../growth/plan.ts";
import { Reader } from "../growth/reader.ts";
import { rowWidth } from "../growth/recipe.ts";
import type { GrowthRecord } from "../growth/record.ts";
import type { Model } from "../model/architecture.ts";
import type { OpenModel } from "../model/load.ts";
import { elements, runsAlong } from "../model/table.ts";
import { keeping } from "../util/closing.ts";
import { RandomStream } from "../util/random.ts";
import type { ProbeInputs } from "./inputs.ts";
import { type ProbeTensor, paddingId, probe } from "./probe.ts";
import { partsOf, type Sample } from "./sample.ts";

export interface Difference {
  /** As `probe` names it: logits, nsp_logits, pooler, hidden.<i> of the source. */
  readonly name: string;
  /** Largest difference. */
  readonly largest: number;
  /** The source's largest value. */
  readonly scale: number;
  /** largest / scale. */
  readonly share: number;
  /** The share against the source rounded to the grown weights' format; absent where that rounds nothing. */
  readonly alike?: number;
  /** Whether the promise is about it. */
  readonly judged: boolean;
}

/** What storing the grown weights does to what they compute, the largest shares of what is judged. */
export interface Rounding {
  /** Between the rounded weights and those that the rule makes in float32. */
  readonly costs: number;
  /** Between these and the source. */
  readonly before: number;
}

export type Verification = Awaited<ReturnType<typeof verifyGrowth>>;

/** What computes: a model and its weights. */
export type Computes = Pick<OpenModel, "model"> & {
  readonly weights: { readF32(name: string, start?: number, count?: number): Promise<Float32Array> };
};

export interface VerifyOptions {
  /** Compare the blocks one after the other, each with a slice of its heads and FFN units: see sample.ts. */
  readonly sample?: { readonly seed: number; readonly progress?: (done: number, parts: number) => void };
}

/**
 * Runs both on the inputs and compares.
 * @param open opens an engine; it is closed here
 */
export async function verifyGrowth(
  source: Computes,
  grown: Computes,
  record: Pick<GrowthRecord, "choices" | "dtype" | "promise">,
  inputs: ProbeInputs,
  open: () => Promise<Engine>,
  { sample }: VerifyOptions = {},
) {
  const { promise, dtype } = record;
  const plan = planGrowth(source.model, grown.model, record.choices);
  const alike = storedIn(dtype, source);
  const ruled = growing(plan, alike);
  // As grow does it: what the rule makes of the source as it is, rounded once.
  const rounded = storedIn(dtype, growing(plan, source));
  const bar = promise.kind === "near" ? Math.max(promise.within, ROUNDING) : ROUNDING;
  const { growth, method } = plan;
  const held = { all: method.held?.(growth, false), last: method.held?.(growth, true) };
  const found: { differences: readonly Difference[]; rounding: Rounding; kept: boolean }[] = [];
  const { parts, sampled } = sample === undefined ? wholeOf(inputs) : partsOf(plan, inputs, sample.seed);
  await using keep = keeping();
  const engine = keep(await open());
  for (const part of parts) {
    const run = async (one: Computes, of: "source" | "grown") => {
      const { model, weights } = part[of](one);
      const outputs = await probe(model, weights, part.inputs, engine, { gradients: false });
      await engine.drop(engine.names());
      return outputs;
    };
    const shared = lastIsShared(grown.model);
    const compared = (a: Outputs, b: Outputs) => compareOutputs(a, b, plan.growth.maps, shared, held);
    const after = await run(grown, "grown");
    const before = await run(alike, "source");
    const judged = compared(before, after);
    const asIs = alike.changes() ? compared(await run(source, "source"), after) : judged;
    const differences = asIs.map((one, i) => (alike.changes() ? { ...one, alike: judged[i].share } : one));
    let rounding: Rounding = { costs: 0, before: 0 };
    if (promise.kind !== "none" && dtype !== "F32") {
      const stored = await run(rounded, "grown");
      if (rounded.changes()) {
        const exact = await run(ruled, "grown");
        const costs = worst(compareOutputs(exact, stored, new Map(), false));
        rounding = { costs, before: worst(compared(before, exact)) };
      }
    }
    const kept = promise.kind === "none" || (rounding.before <= bar && worst(judged) <= bar + rounding.costs);
    found.push({ differences, rounding, kept });
    sample?.progress?.(found.length, parts.length);
  }
  const most = (of: keyof Rounding) => Math.max(...found.map(({ rounding }) => rounding[of]));
  const rounding: Rounding = { costs: most("costs"), before: most("before") };
  return {
    promise,
    /** The largest share that the promise allows to the weights as they are stored; undefined where nothing is promised. */
    allowed: promise.kind === "none" ? undefined : bar + rounding.costs,
    /** Of a sample the largest of each output. */
    differences: largestOf(found.flatMap(({ differences }) => differences)),
    // Absent where storing rounds nothing, or nothing is promised; and where all was looked at.
    ...(rounding.costs > 0 ? { rounding } : {}),
    ...(sampled === undefined ? {} : { sampled }),
    /** Whether the promise holds; true where there is none. */
    kept: found.every(({ kept }) => kept),
  };
}

type Outputs = ReadonlyMap<string, ProbeTensor>;

/** What rounding in float32 may cost, as a share of the scale. */
const ROUNDING = 1e-5;

function wholeOf(inputs: ProbeInputs): Sample {
  const all = (one: Computes) => one;
  return { parts: [{ inputs, source: all, grown: all }] };
}

function worst(differences: readonly Difference[]): number {
  return Math.max(...differences.filter(({ judged }) => judged).map(({ share }) => share));
}

/** Of each output the one that differs most. */
function largestOf(differences: readonly Difference[]): readonly Difference[] {
  const byName = new Map<string, Difference>();
  for (const one of differences) {
    const before = byName.get(one.name);
    if (before === undefined || (one.alike ?? one.share) > (before.alike ?? before.share)) byName.set(one.name, one);
  }
  return [...byName.values()];
}

/** The same with its weights stored in a format; `changes` says whether that has rounded anything read so far. */
function storedIn(dtype: FloatDType, { model, weights }: Computes): Computes & { changes(): boolean } {
  let changes = false;
  return {
    model,
    changes: () => changes,
    weights: {
      async readF32(name, start, count) {
        const values = await weights.readF32(name, start, count);
        if (dtype === "F32") return values;
        const rounded = roundTo(values.slice(), dtype);
        changes ||= rounded.some((value, i) => !Object.is(value, values[i]));
        return rounded;
      },
    },
  };
}

/** What the plan makes of a source, in float32, worked out as it is read: whole rows at a time. */
function growing({ growth, parameters }: GrowthPlan, { weights }: Computes): Computes {
  const planned = new Map(parameters.map((one) => [one.parameter.name, one]));
  const reader = new Reader((name, start, count) => weights.readF32(name, start, count));
  return {
    model: growth.target,
    weights: {
      async readF32(name, start = 0, count) {
        const one = planned.get(name);
        if (one === undefined) throw new RangeError(`nothing makes ${name}`);
        const out = new Float32Array(count ?? elements(one.parameter) - start);
        await reader.release();
        await one.weight.fill(out, start / rowWidth(one.shape), reader);
        return out;
      },
    },
  };
}

/** Whether the last hidden state comes from a norm whose units are shared among the copies, for a tied head reads it. */
function lastIsShared(model: Model): boolean {
  return model.parameters.some(({ norm, dims }) => {
    return norm?.sees === "head" && runsAlong(dims[0], "hidden") && dims[0].role === "in";
  });
}

/**
 * @param source what the source computed @param grown what the grown model did
 * @param shared whether the last hidden state is shared among the copies
 * @param held what units of the last and of all other hidden states hold, where the method says it
 */
export function compareOutputs(
  source: Outputs,
  grown: Outputs,
  maps: AxisMaps,
  shared: boolean,
  held: { readonly all?: Float64Array; readonly last?: Float64Array } = {},
): readonly Difference[] {
  const layers = (outputs: Outputs) => [...outputs.keys()].filter((name) => name.startsWith("hidden.")).length - 1;
  const [from, to] = [layers(source), layers(grown)];
  const heads = source.has("logits") || source.has("nsp_logits");
  const differences: Difference[] = [];
  const compare = (
    name: string,
    map: UnitMap | undefined,
    judged: boolean,
    grownName = name,
    holds: Float64Array | "shares" | undefined = undefined,
  ) => {
    const [a, b] = [source.get(name), grown.get(grownName)];
    if (a === undefined || b === undefined) return;
    const largest = largestDifference(a, b, map, holds);
    const scale = a.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    differences.push({ name, largest, scale, share: scale > 0 ? largest / scale : largest, judged });
  };
  compare("logits", undefined, true);
  compare("nsp_logits", undefined, true);
  compare("pooler", maps.get("pooler"), !heads);
  const stream = maps.get("hidden");
  if (from === to)
    for (let layer = 0; layer < from; layer++) compare(`hidden.${layer}`, stream, false, undefined, held.all);
  compare(`hidden.${from}`, stream, !heads, `hidden.${to}`, held.last ?? (shared ? "shares" : undefined));
  return differences;
}

/** Infinity where either is not a number, so that no bar holds it. */
function largestDifference(
  source: ProbeTensor,
  grown: ProbeTensor,
  map: UnitMap | undefined,
  holds: Float64Array | "shares" | undefined,
): number {
  const shared = holds === "shares";
  const width = source.shape[source.shape.length - 1];
  const grownWidth = grown.shape[grown.shape.length - 1];
  const rows = source.data.length / width;
  // A grown model may have logits of ids that the source has not.
  const units = map === undefined ? Math.min(width, grownWidth) : copiesOf(map);
  const sums = new Float64Array(width);
  let largest = 0;
  const compare = (value: number, wanted: number) => {
    const difference = Math.abs(value - wanted);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  };
  for (let row = 0; row < rows; row++) {
    sums.fill(0);
    for (let j = 0; j < units; j++) {
      const unit = map === undefined ? j : map.of[j];
      const value = grown.data[row * grownWidth + j];
      if (shared) sums[unit] += value;
      else compare(holds === undefined ? value : value / holds[j], source.data[row * width + unit]);
    }
    if (shared) for (let unit = 0; unit < width; unit++) compare(sums[unit], source.data[row * width + unit]);
  }
  return largest;
}

/** Random token ids of every kind the model takes: several lengths with padding, both token types. */
export function randomInputs(model: Model, seed: number, sequences = 4, longest = 64): ProbeInputs {
  const { vocab, positions, types } = model.dimensions;
  const length = Math.min(positions, longest);
  const padding = paddingId(model);
  const random = new RandomStream(seed, "verify");
  const kinds = new Int32Array(sequences * length);
  const rows = Array.from({ length: sequences }, (_, s) => {
    // The first is full, the others end sooner and sooner.
    const tokens = Math.max(1, Math.ceil((length * (sequences - s)) / sequences));
    if (types > 1) kinds.fill(types - 1, s * length + Math.ceil(tokens / 2), s * length + tokens);
    return Array.from({ length: tokens }, (_, i) => {
      const id = random.below(padding === undefined ? vocab : vocab - 1, s * length + i);
      return padding !== undefined && id >= padding ? id + 1 : id;
    });
  });
  return { ...paddedInputs(model, rows), types: types > 0 ? kinds : undefined };
}

/** Token ids as sequences of a batch, padded to the longest. @param sequences at least one, none empty */
export function paddedInputs(model: Model, sequences: readonly (readonly number[])[]): ProbeInputs {
  const length = Math.max(...sequences.map((ids) => ids.length));
  const ids = new Int32Array(sequences.length * length).fill(paddingId(model) ?? 0);
  const mask = new Float32Array(ids.length);
  for (const [s, tokens] of sequences.entries()) {
    ids.set(tokens, s * length);
    mask.fill(1, s * length, s * length + tokens.length);
  }
  return { batch: sequences.length, length, ids, mask };
}
