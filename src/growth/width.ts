/**
 * What width methods are put together from: copying units along the axes with what reads them shared among the copies,
 * corners, and fresh random values.
 *
 * The rule of function-preserving growth: a dimension that makes units (out) is copied by the axis's map, one that
 * reads units (in) is copied and divided by how often the unit it reads was copied. The moments of Adam follow the
 * mirror image: a gradient is divided on the out dimensions and not on the in dimensions. A dimension that is a product
 * of axes goes by each of their maps: indices are mixed radix, shares multiply, and an index is new if any unit of it is.
 */

import { initialise } from "../model/init.ts";
import { AXES, type Axis, type Dim, type Factor, type Parameter, shapeOf } from "../model/table.ts";
import { type Content, type Growth, sourceParameter } from "./growth.ts";
import { copiesOf, grows, mapOf, type UnitMap } from "./maps.ts";
import { type Along, choose, constant, gather, type Recipe, rowWidth } from "./recipe.ts";
import { momentsFollow, sharesOf, withNoise } from "./shares.ts";

/** A number for each index along a dimension: `start`, changed by each factor's index in turn, the outermost first. */
export function along(
  dim: Dim,
  start: number,
  stepOf: (factor: Factor) => (value: number, index: number) => number,
): Float64Array {
  let values = Float64Array.of(start);
  for (const factor of dim.factors) {
    const step = stepOf(factor);
    const next = new Float64Array(values.length * factor.size);
    for (let i = 0; i < next.length; i++) next[i] = step(values[Math.floor(i / factor.size)], i % factor.size);
    values = next;
  }
  return values;
}

/** The factors of a dimension whose axes grow in this growth, with their maps. */
export function grownFactors(growth: Growth, dim: Dim): readonly { readonly axis: Axis; readonly map: UnitMap }[] {
  return dim.factors.flatMap(({ axis }) => {
    const map = mapOf(growth.maps, axis);
    return map !== undefined && grows(map) ? [{ axis, map }] : [];
  });
}

/** Which source index each index along a target's dimension is made from. */
export function indexAlong(growth: Growth, dim: Dim): Uint32Array {
  const index = along(dim, 0, ({ axis, size }) => {
    const map = mapOf(growth.maps, axis);
    return map === undefined ? (value, j) => value * size + j : (value, j) => value * map.source + map.of[j];
  });
  return Uint32Array.from(index);
}

/** Another share of a unit of an axis than the method's option says; undefined: as that says. */
export type Share = (axis: Axis, map: UnitMap, unit: number) => number | undefined;

/** What weights along a dimension are multiplied with at each index, beside their shares; undefined: 1. */
export type Weigh = (dim: Dim) => Float64Array | undefined;

/** The share of each index along a dimension in what it copies: the product of its units' shares. */
export function sharesAlong(growth: Growth, dim: Dim, share?: Share): Float64Array {
  return along(dim, 1, ({ axis }) => {
    const map = mapOf(growth.maps, axis);
    if (map === undefined || !grows(map)) return (value) => value;
    const shares = sharesOf(growth, axis, map);
    return (value, j) => value * (share?.(axis, map, j) ?? shares[j]);
  });
}

/** Marks the indices along a dimension of which any unit is new: beyond the source's own. */
export function newUnits(growth: Growth, dim: Dim): Uint8Array {
  return marked(growth, dim, (map) => map.source);
}

/** Marks those of which any unit copies none. */
export function uncopiedUnits(growth: Growth, dim: Dim): Uint8Array {
  return marked(growth, dim, copiesOf);
}

function marked(growth: Growth, dim: Dim, from: (map: UnitMap) => number): Uint8Array {
  const marks = along(dim, 0, ({ axis, size }) => {
    const map = mapOf(growth.maps, axis);
    const first = map === undefined ? size : from(map);
    return (value, j) => (value === 1 || j >= first ? 1 : 0);
  });
  return Uint8Array.from(marks);
}

/**
 * The source's tensor with every grown dimension copied by its map, and shared among the copies where the content asks
 * for it: weights on in dimensions (1/C), first moments on out dimensions (1/C), second moments there too (1/C²).
 * How copies share is the method's option `shares` (shares.ts), if it has it: else equally.
 * @param layer of the source; default: the parameter's own
 * @param share where it is another; of the copies of one unit they add up to 1
 * @param weigh moments take its reciprocal, and follow the weights whatever the shares
 */
export function copied(
  growth: Growth,
  parameter: Parameter,
  content: Content,
  layer: number | null = parameter.layer,
  share?: Share,
  weigh?: Weigh,
): Recipe {
  if (content !== "weight" && weigh === undefined && !momentsFollow(growth)) return constant(shapeOf(parameter), 0);
  const from = sourceParameter(growth, parameter, layer);
  const words: string[] = [];
  let noisy: number | undefined;
  const dims = parameter.dims.map((dim, d): Along | null => {
    const grown = grownFactors(growth, dim);
    if (grown.length === 0) return null;
    const shared = content === "weight" ? dim.role === "in" : dim.role === "out";
    for (const { axis, map } of grown) {
      words.push(`${AXES[axis].name} ${map.source}→${map.of.length} ${shared ? "shared" : "copied"}`);
    }
    const own = grown.some(({ axis, map }) => share?.(axis, map, 0) !== undefined);
    if (dim.role === "in" && content === "weight" && growth.options.shares === "noisy" && !own) noisy = d;
    const power = content === "v" ? 2 : 1;
    const weighed = weigh?.(dim);
    if (weighed === undefined && (share === undefined || !shared)) return methodsAlong(growth, dim, shared ? power : 0);
    const shares = shared ? sharesAlong(growth, dim, share) : new Float64Array(dim.size).fill(1);
    const times = (value: number, i: number) => {
      const by = weighed?.[i] ?? 1;
      return content === "weight" ? value * by : (value / by) ** power;
    };
    return { index: indexAlong(growth, dim), factor: shares.map(times) };
  });
  const shape = shapeOf(parameter);
  const made = gather({ name: from.name, shape: shapeOf(from) }, shape, dims, words.join(", ") || "as it is");
  if (noisy === undefined || dims.length === 1) return made;
  const dim = parameter.dims[noisy];
  const by = weigh?.(dim);
  const heights = sharesAlong(growth, dim).map((value, i) => value * (by?.[i] ?? 1));
  return withNoise(made, growth, parameter, noisy, indexAlong(growth, dim), heights);
}

const known = new WeakMap<Growth, Map<string, Along>>();

/**
 * A dimension copied by its maps, with the method's shares to a power (0: none). All parameters along an axis have the
 * same: it is worked out once, or planning would take as long as a tenth of growing BERT-base.
 */
function methodsAlong(growth: Growth, dim: Dim, power: number): Along {
  const found = known.get(growth) ?? new Map<string, Along>();
  known.set(growth, found);
  const key = JSON.stringify([dim.factors, power]);
  const before = found.get(key);
  if (before !== undefined) return before;
  const index = indexAlong(growth, dim);
  const made = power === 0 ? { index } : { index, factor: sharesAlong(growth, dim).map((share) => share ** power) };
  found.set(key, made);
  return made;
}

/** `inside` where every grown dimension stands at one of the source's own units, `rest` elsewhere. */
export function corner(growth: Growth, parameter: Parameter, inside: Recipe, rest: Recipe): Recipe {
  let recipe = inside;
  // The last dimension is the innermost choice: whole rows of `rest` are then never read twice.
  for (let d = parameter.dims.length - 1; d >= 0; d--) {
    const dim = parameter.dims[d];
    if (grownFactors(growth, dim).length === 0) continue;
    recipe = choose(d, newUnits(growth, dim), recipe, rest, `${inside.words}; new units ${rest.words}`);
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
    words: init.kind === "normal" ? `random (std ${Number(init.std.toPrecision(3))})` : "sines and cosines",
    lossless: true,
    async fill(out, row) {
      out.set(initialise(parameter, growth.seed, row * width, out.length));
    },
  };
}
