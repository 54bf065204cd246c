/**
 * Maps: which source unit each unit of a grown axis is made from.
 *
 * A map g sends target unit j to source unit g(j): g(j) = j for the first units, and for the rest `cyclic` (0, 1, 2, …
 * again), `shuffled` (one seeded permutation after the other, so that counts differ by at most one) or `random` (each
 * drawn uniformly). C_k counts the target units made from source unit k. One map an axis serves the whole network: the
 * residual stream's because embeddings, every block and the heads must agree on it (bert2BERT, Chen et al., ACL 2022,
 * section 3.3 ties g_emb = g_qkv-in = g_o-out). Heads are mapped whole, for the units of one are an axis of their own.
 */
import type { Model } from "../model/architecture.ts";
import { AXES, type Axis, axes, type Parameter } from "../model/table.ts";
import { named, UserError } from "../util/errors.ts";
import { RandomStream } from "../util/random.ts";

export const MAP_KINDS = ["cyclic", "shuffled", "random"] as const;
export type MapKind = (typeof MAP_KINDS)[number];

/** @throws UserError if it is none of MAP_KINDS */
export function mapKind(name: string): MapKind {
  return named(name, MAP_KINDS, `there is no map \`${name}\``, "--map");
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

/** A map for each axis that grows in a model and follows no other. */
export type AxisMaps = ReadonlyMap<Axis, UnitMap>;

/** How many units each axis has that could grow and follows no other, in the order of all axes. */
export function axisSizes(parameters: readonly Parameter[]): ReadonlyMap<Axis, number> {
  const sizes = new Map<Axis, number>();
  for (const { dims } of parameters) for (const { factors } of dims) for (const f of factors) sizes.set(f.axis, f.size);
  const mapped = axes.filter((axis) => AXES[axis].grows && AXES[axis].follows === undefined);
  return new Map(mapped.flatMap((axis) => (sizes.has(axis) ? [[axis, sizes.get(axis) ?? 0]] : [])));
}

/**
 * The maps from one model to another: drawn, or those that are given. @param kind of those drawn
 * @throws UserError if one of those given is missing or of another size
 */
export function mapsBetween(source: Model, target: Model, kind: MapKind, seed: number, given?: AxisMaps): AxisMaps {
  const to = axisSizes(target.parameters);
  return new Map(
    [...axisSizes(source.parameters)].map(([axis, size]) => {
      const [wanted, { name }] = [to.get(axis) ?? size, AXES[axis]];
      if (given === undefined) return [axis, makeMap(kind, size, wanted, seed, `map/${name}`)];
      const map = given.get(axis);
      if (map?.source === size && map.of.length === wanted) return [axis, map];
      const what = `the map of ${name} is not one from ${size} units to ${wanted}`;
      throw new UserError(what, "maps", "use the maps with the models that they were drawn for");
    }),
  );
}

/** The maps with one of them changed. */
export function replaced(maps: AxisMaps, axis: Axis, change: (map: UnitMap) => UnitMap): AxisMaps {
  return new Map([...maps].map(([name, map]) => [name, name === axis ? change(map) : map]));
}

/** The residual stream's map. */
export function streamOf(maps: AxisMaps): UnitMap {
  const map = mapOf(maps, "hidden");
  if (map === undefined) throw new Error("a model without a residual stream");
  return map;
}

/** The map of an axis: its own, or that of the one it follows; undefined for one that never grows. */
export function mapOf(maps: AxisMaps, axis: Axis): UnitMap | undefined {
  return maps.get(AXES[axis].follows ?? axis);
}
