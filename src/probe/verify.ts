/**
 * Holds a grown model to its promise: source and grown model compute the same inputs, and what they compute is compared
 * as shares of the largest value.
 *
 * Logits are compared as they are; hidden states and the pooler's output through the maps, each target unit with the
 * source unit it was made from, at every layer where the depth stayed and at the last where it did not (what leaves a
 * norm before a tied head is shared among the copies, and added up again). The promise is about what the heads compute (the last hidden state and the pooler where there is no other head). The source is taken as
 * it is. Where the grown weights are stored in less, the promise is about the source rounded alike: it is compared too.
 */
import { type FloatDType, roundTo } from "../checkpoint/dtype.ts";
import type { Engine } from "../engine/engine.ts";
import { growthBy, type Promised } from "../growth/growth.ts";
import { type AxisMaps, copiesOf, type UnitMap } from "../growth/maps.ts";
import { methodOf } from "../growth/methods.ts";
import type { GrowthRecord } from "../growth/record.ts";
import type { Model } from "../model/architecture.ts";
import type { OpenModel } from "../model/load.ts";
import { runsAlong } from "../model/table.ts";
import { RandomStream } from "../util/random.ts";
import type { ProbeInputs } from "./inputs.ts";
import { type ProbeTensor, probe } from "./probe.ts";

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

export interface Verification {
  readonly promise: Promised;
  /** The largest share that the promise allows; undefined where nothing is promised. */
  readonly allowed: number | undefined;
  readonly differences: readonly Difference[];
  /** Whether the promise holds; true where there is none. */
  readonly kept: boolean;
}

/** What computes: a model and its weights. */
export type Computes = Pick<OpenModel, "model"> & { readonly weights: Pick<OpenModel["weights"], "readF32"> };

/**
 * Runs both on the inputs, each on an engine of its own, and compares.
 * @param open opens an engine; it is closed here
 */
export async function verifyGrowth(
  source: Computes,
  grown: Computes,
  record: Pick<GrowthRecord, "choices" | "dtype" | "promise">,
  inputs: ProbeInputs,
  open: () => Promise<Engine>,
): Promise<Verification> {
  const run = async ({ model, weights }: Computes) => {
    const engine = await open();
    try {
      return await probe(model, weights, inputs, engine, { gradients: false });
    } finally {
      await engine.close();
    }
  };
  let rounds = false;
  const alike = {
    async readF32(name: string) {
      const values = await source.weights.readF32(name);
      const rounded = roundTo(values.slice(), record.dtype);
      rounds ||= rounded.some((value, i) => !Object.is(value, values[i]));
      return rounded;
    },
  };
  const after = await run(grown);
  const { method: named, maps: drawn, options = {}, seed = 0 } = record.choices;
  const method = typeof named === "string" ? methodOf(named) : named;
  const growth = growthBy(method, { source: source.model, target: grown.model, drawn, options, seed });
  const held = { all: method.held?.(growth, false), last: method.held?.(growth, true) };
  const shared = lastIsShared(grown.model);
  const compared = async (from: Computes) => compareOutputs(await run(from), after, growth.maps, shared, held);
  const judged = await compared({ model: source.model, weights: alike });
  const asIs = rounds ? await compared(source) : judged;
  const differences = asIs.map((one, i) => (rounds ? { ...one, alike: judged[i].share } : one));
  const allowed = allowedShare(record.promise, record.dtype, drawn);
  const kept = allowed === undefined || judged.every((one) => !one.judged || one.share <= allowed);
  return { promise: record.promise, allowed, differences, kept };
}

/** Rounding alone: in less than float32 a share that is no power of two is rounded in every weight that reads a copy. */
const rounding: Readonly<Record<FloatDType, number>> = { F32: 1e-5, F16: 3e-3, BF16: 2e-2 };

/** The largest share of the scale by which outputs may differ; undefined where nothing is promised. */
export function allowedShare(promise: Promised, dtype: FloatDType, maps: AxisMaps): number | undefined {
  if (promise.kind === "none") return undefined;
  const counts = [...maps.values()].flatMap((map) => [...new Set(map.counts)]);
  const exactShares =
    !(promise.kind === "exact" && promise.rounded) && counts.every((count) => Number.isInteger(Math.log2(count)));
  const bar = exactShares ? rounding.F32 : rounding[dtype];
  return promise.kind === "near" ? Math.max(promise.within, bar) : bar;
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
  source: ReadonlyMap<string, ProbeTensor>,
  grown: ReadonlyMap<string, ProbeTensor>,
  maps: AxisMaps,
  shared: boolean,
  held: { readonly all?: Float64Array; readonly last?: Float64Array } = {},
): readonly Difference[] {
  const layers = (outputs: ReadonlyMap<string, ProbeTensor>) =>
    [...outputs.keys()].filter((name) => name.startsWith("hidden.")).length - 1;
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
  const units = map === undefined ? grownWidth : copiesOf(map);
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
  const ids = new Int32Array(sequences * length).fill(padding ?? 0);
  const mask = new Float32Array(sequences * length);
  const kinds = new Int32Array(sequences * length);
  for (let s = 0; s < sequences; s++) {
    // The first is full, the others end sooner and sooner.
    const tokens = Math.max(1, Math.ceil((length * (sequences - s)) / sequences));
    for (let i = 0; i < tokens; i++) {
      const at = s * length + i;
      const id = random.below(padding === undefined ? vocab : vocab - 1, at);
      ids[at] = padding !== undefined && id >= padding ? id + 1 : id;
      mask[at] = 1;
      if (types > 1 && 2 * i >= tokens) kinds[at] = types - 1;
    }
  }
  return { batch: sequences, length, ids, mask, types: types > 0 ? kinds : undefined };
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

/** The id whose embedding stays zero; undefined where there is none. */
function paddingId(model: Model): number | undefined {
  for (const { init, dims } of model.parameters) {
    if (runsAlong(dims[0], "vocab") && init.kind === "normal" && init.zeroRow !== undefined) return init.zeroRow;
  }
  return undefined;
}
