/**
 * What width methods are put together from: copying units along the axes with what reads them shared among the copies,
 * corners, and fresh random values.
 *
 * The rule of function-preserving growth: a dimension that makes units (out) is copied by the axis's map, one that
 * reads units (in) is copied and divided by how often the unit it reads was copied. The moments of Adam follow the
 * mirror image: a gradient is divided on the out dimensions and not on the in dimensions.
 */

import { initialise } from "../model/init.ts";
import type { Dim, Parameter } from "../model/table.ts";
import { shapeOf } from "../model/table.ts";
import { type Content, type Growth, sourceParameter } from "./growth.ts";
import { copiesOf, mapOf, type UnitMap, unitsAlong } from "./maps.ts";
import { type Along, choose, constant, gather, type Recipe, rowWidth } from "./recipe.ts";
import { momentsFollow, sharesOf, withNoise } from "./shares.ts";

/** Which source index a target index along a dimension is made from; a fused dimension block by block. */
export function indexAlong(dim: Dim, map: UnitMap): Uint32Array {
  const { blocks, units } = unitsAlong(dim);
  const index = new Uint32Array(dim.size);
  for (let block = 0; block < blocks; block++) {
    for (let j = 0; j < units; j++) index[block * units + j] = block * map.source + map.of[j];
  }
  return index;
}

/** A number for each index along a dimension, from one for each target unit. */
export function perIndex(dim: Dim, perUnit: (unit: number) => number): Float64Array {
  const { units } = unitsAlong(dim);
  const values = new Float64Array(dim.size);
  for (let i = 0; i < values.length; i++) values[i] = perUnit(i % units);
  return values;
}

/** Whether a dimension of the parameter belongs to an axis that grows in this growth. */
export function grownMap(growth: Growth, dim: Dim): UnitMap | undefined {
  const map = mapOf(growth.maps, dim.axis);
  return map !== undefined && map.of.length > map.source ? map : undefined;
}

/**
 * The source's tensor with every grown dimension copied by its map, and shared among the copies where the content asks
 * for it: weights on in dimensions (1/C), first moments on out dimensions (1/C), second moments there too (1/C²).
 * How copies share is the method's option `shares` (shares.ts), if it has it: else equally.
 * @param layer of the source; default: the parameter's own
 * @param share of each target unit in the source unit it copies, where it is another; within an axis those of one source unit add up to 1
 */
export function copied(
  growth: Growth,
  parameter: Parameter,
  content: Content,
  layer: number | null = parameter.layer,
  share?: (map: UnitMap, unit: number) => number | undefined,
): Recipe {
  if (content !== "weight" && !momentsFollow(growth)) return constant(shapeOf(parameter), 0);
  const from = sourceParameter(growth, parameter, layer);
  const words: string[] = [];
  let noise: { d: number; index: Uint32Array; shares: Float64Array } | undefined;
  const along = parameter.dims.map((dim, d): Along | null => {
    const map = grownMap(growth, dim);
    if (map === undefined) return null;
    const shared = content === "weight" ? dim.role === "in" : dim.role === "out";
    words.push(`${dim.axis} ${map.source}→${map.of.length} ${shared ? "shared" : "copied"}`);
    const power = content === "v" ? 2 : 1;
    const noisy = shared && growth.options.shares === "noisy" && dim.role === "in" && parameter.dims.length > 1;
    if (noisy && share?.(map, 0) === undefined) {
      const shares = sharesOf(growth, map);
      noise = { d, index: indexAlong(dim, map), shares: perIndex(dim, (unit) => shares[unit]) };
    }
    if (share === undefined || !shared) return methodsAlong(growth, dim, map, shared ? power : 0);
    const shares = sharesOf(growth, map);
    const shareOf = (unit: number) => share?.(map, unit) ?? shares[unit];
    return { index: indexAlong(dim, map), factor: perIndex(dim, (unit) => shareOf(unit) ** power) };
  });
  const shape = shapeOf(parameter);
  const made = gather({ name: from.name, shape: shapeOf(from) }, shape, along, words.join(", ") || "as it is");
  if (noise === undefined || content !== "weight") return made;
  return withNoise(made, growth, parameter, noise.d, noise.index, noise.shares);
}

const known = new WeakMap<Growth, WeakMap<UnitMap, Map<string, Along>>>();

/**
 * A dimension copied by its map, with the method's shares to a power (0: none). All parameters along an axis have the
 * same: it is worked out once, or planning would take as long as a tenth of growing BERT-base.
 */
function methodsAlong(growth: Growth, dim: Dim, map: UnitMap, power: number): Along {
  const maps = known.get(growth) ?? new WeakMap<UnitMap, Map<string, Along>>();
  known.set(growth, maps);
  const found = maps.get(map) ?? new Map<string, Along>();
  maps.set(map, found);
  const key = `${dim.size} ${dim.blocks} ${power}`;
  const before = found.get(key);
  if (before !== undefined) return before;
  const index = indexAlong(dim, map);
  const shares = power === 0 ? undefined : sharesOf(growth, map);
  const along = shares === undefined ? { index } : { index, factor: perIndex(dim, (unit) => shares[unit] ** power) };
  found.set(key, along);
  return along;
}

/** Marks the indices along a dimension that stand for new units (beyond the source's own, block by block). */
export function newUnits(dim: Dim, map: UnitMap): Uint8Array {
  const marks = new Uint8Array(dim.size);
  const { blocks, units } = unitsAlong(dim);
  for (let block = 0; block < blocks; block++) marks.fill(1, block * units + map.source, (block + 1) * units);
  return marks;
}

/** Marks the indices along a dimension that stand for units which copy none. */
export function filledUnits(dim: Dim, map: UnitMap): Uint8Array {
  return Uint8Array.from(perIndex(dim, (unit) => (unit < copiesOf(map) ? 0 : 1)));
}

/** `inside` where every grown dimension stands at one of the source's own units, `rest` elsewhere. */
export function corner(growth: Growth, parameter: Parameter, inside: Recipe, rest: Recipe): Recipe {
  let recipe = inside;
  // The last dimension is the innermost choice: whole rows of `rest` are then never read twice.
  for (let d = parameter.dims.length - 1; d >= 0; d--) {
    const map = grownMap(growth, parameter.dims[d]);
    if (map === undefined) continue;
    recipe = choose(d, newUnits(parameter.dims[d], map), recipe, rest, `${inside.words}; new units ${rest.words}`);
  }
  return recipe;
}

/** The target's own random initialisation, as `init` would draw it. */
export function fresh(growth: Growth, parameter: Parameter): Recipe {
  const shape = shapeOf(parameter);
  const { init } = parameter;
  if (init.kind === "constant") return constant(shape, init.value);
  const width = rowWidth(shape);
  return {
    shape,
    reads: [],
    words: `random (std ${Number(init.std.toPrecision(3))})`,
    async fill(out, row) {
      out.set(initialise(parameter, growth.seed, row * width, out.length));
    },
  };
}
