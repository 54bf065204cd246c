/**
 * Maps: which source unit each unit of a grown axis is made from.
 *
 * A map g sends target unit j to source unit g(j): g(j) = j for the first units, and for the rest `cyclic` (0, 1, 2, …
 * again), `shuffled` (one seeded permutation after the other, so that counts differ by at most one) or `random` (each
 * drawn uniformly). C_k counts the target units made from source unit k. One map an axis serves the whole network: the
 * residual stream's because embeddings, every block and the heads must agree on it (bert2BERT, Chen et al., ACL 2022,
 * section 3.3 ties g_emb = g_qkv-in = g_o-out); attention heads are mapped whole; the transform's is the stream's,
 * because the tied decoder reads it with the embedding matrix.
 */
import type { Axis, Dim, Dimensions } from "../model/table.ts";
import { suggestion, UserError } from "../util/errors.ts";
import { RandomStream } from "../util/random.ts";

/** The axes whose units a growth in width multiplies. */
export const GROWN_AXES = ["hidden", "heads", "ffn", "pooler", "transform"] as const;
export type GrownAxis = (typeof GROWN_AXES)[number];

export const MAP_KINDS = ["cyclic", "shuffled", "random"] as const;
export type MapKind = (typeof MAP_KINDS)[number];

/** @throws UserError if it is none of MAP_KINDS */
export function mapKind(name: string): MapKind {
  const found = MAP_KINDS.find((kind) => kind === name);
  if (found === undefined) throw new UserError(`there is no map \`${name}\``, "--map", suggestion(name, MAP_KINDS));
  return found;
}

export interface UnitMap {
  /** Source units. */
  readonly source: number;
  /** The source unit of each target unit; its length is the number of target units. */
  readonly of: Uint32Array;
  /** How many target units each source unit became: C_k. */
  readonly counts: Uint32Array;
  /** Target units from here on copy none, whatever `of` says (and `counts` leaves them out); absent: all are copies. */
  readonly copies?: number;
}

/** @param of the source unit of each target unit @throws RangeError if a source unit has no target unit of its own */
export function unitMap(source: number, of: Uint32Array): UnitMap {
  const counts = new Uint32Array(source);
  for (const unit of of) {
    if (unit >= source) throw new RangeError(`unit ${unit} of a map from ${source} units`);
    counts[unit]++;
  }
  for (let unit = 0; unit < source; unit++) {
    if (of[unit] !== unit) throw new RangeError(`a map must start with the source's own units, not ${of[unit]}`);
  }
  return { source, of, counts };
}

/** @param stream names the random numbers drawn, so that two axes of one size draw apart */
export function makeMap(kind: MapKind, source: number, target: number, seed: number, stream: string): UnitMap {
  const of = new Uint32Array(target);
  for (let j = 0; j < Math.min(source, target); j++) of[j] = j;
  if (kind === "cyclic") {
    for (let j = source; j < target; j++) of[j] = j % source;
  } else if (kind === "random") {
    const random = new RandomStream(seed, stream);
    for (let j = source; j < target; j++) of[j] = random.below(source, j - source);
  } else {
    for (let start = source, round = 0; start < target; start += source, round++) {
      const order = new RandomStream(seed, stream, round).permutation(source);
      of.set(order.subarray(0, Math.min(source, target - start)), start);
    }
  }
  return unitMap(source, of);
}

/** How many target units, from the first, are copies of a source unit. */
export function copiesOf(map: UnitMap): number {
  return map.copies ?? map.of.length;
}

/** Whether every source unit became equally many target units. */
export function isUniform(map: UnitMap): boolean {
  return map.counts.every((count) => count === map.counts[0]);
}

export function grows(map: UnitMap): boolean {
  return map.of.length > map.source;
}

/** The map of units of `width` each, from a map of whole groups (attention heads). */
export function widenMap(groups: UnitMap, width: number): UnitMap {
  const of = Uint32Array.from({ length: groups.of.length * width }, (_, j) => {
    return groups.of[Math.floor(j / width)] * width + (j % width);
  });
  return unitMap(groups.source * width, of);
}

/** A map for each axis that grows, in units of that axis (`heads`: units of whole heads, head-major). */
export type AxisMaps = Readonly<Record<GrownAxis, UnitMap>>;

/** The maps that are drawn, the others following from them. `heads` is in whole heads here. */
export interface DrawnMaps {
  readonly hidden: UnitMap;
  readonly heads: UnitMap;
  readonly ffn: UnitMap;
  readonly pooler: UnitMap;
}

export function drawMaps(kind: MapKind, source: Dimensions, target: Dimensions, seed: number): DrawnMaps {
  return {
    hidden: makeMap(kind, source.hidden, target.hidden, seed, "map/hidden"),
    heads: makeMap(kind, source.heads, target.heads, seed, "map/heads"),
    ffn: makeMap(kind, source.ffn, target.ffn, seed, "map/ffn"),
    pooler: makeMap(kind, source.hidden, target.hidden, seed, "map/pooler"),
  };
}

/** @param headWidth units of one attention head */
export function axisMaps(drawn: DrawnMaps, headWidth: number): AxisMaps {
  return { ...drawn, heads: widenMap(drawn.heads, headWidth), transform: drawn.hidden };
}

/** The map of an axis, or undefined for one that never grows. */
export function mapOf(maps: AxisMaps, axis: Axis): UnitMap | undefined {
  const grown = GROWN_AXES.find((name) => name === axis);
  return grown === undefined ? undefined : maps[grown];
}

/**
 * For each index along a target's dimension, the unit of its axis within its block.
 * A fused dimension holds the axis several times over (GPT-2's c_attn: q, k, v).
 */
export function unitsAlong(dim: Dim): { readonly blocks: number; readonly units: number } {
  const blocks = dim.blocks ?? 1;
  return { blocks, units: dim.size / blocks };
}
