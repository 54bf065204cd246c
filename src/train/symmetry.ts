/**
 * Whether the copies of a grown model have come apart: the mean cosine between the weights of new units and those of the
 * units they were made from, by layer.
 *
 * For every matrix of a block and every grown axis along which it makes units (rows of W_Q, W_K, W_V and the FFN's first
 * layer for heads and FFN units, of what writes the stream for its units): 1 while copies are alike, as FPI's stay in
 * training without dropout; about 0 for units that have nothing in common. The last growth counts.
 */

import { type Growth, grownMaps } from "../growth/growth.ts";
import { planGrowth } from "../growth/plan.ts";
import { parseRecord } from "../growth/record.ts";
import { indexAlong, newUnits, uncopiedUnits } from "../growth/width.ts";
import { type Model, resizeModel } from "../model/architecture.ts";
import { type Dim, shapeOf } from "../model/table.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";

/**
 * What measures it in a model, if its width was grown.
 * @param growth how the model was grown (growth.json) @returns undefined where its width was not, or it is of another kind
 */
export function symmetryOf(model: Model, growth: Json | undefined): Measure | undefined {
  if (growth === undefined) return undefined;
  try {
    const { choices, sourceSizes } = parseRecord(growth, "growth.json");
    const plan = planGrowth(resizeModel(model, sourceSizes, "growth.json"), model, choices);
    return grownMaps(plan.growth).length === 0 ? undefined : (read) => measure(plan.growth, read);
  } catch (error) {
    // A record of another version, or of a method of somebody's own: nothing is known of its copies.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** A parameter's values. */
type Read = (name: string) => Promise<Float32Array>;
/** The mean over a layer's copies, bottom to top; null for one that has none. */
type Measure = (read: Read) => Promise<readonly (number | null)[]>;

async function measure(growth: Growth, read: Read): ReturnType<Measure> {
  const { target } = growth;
  const sums = Array.from({ length: target.dimensions.layers }, () => ({ sum: 0, count: 0 }));
  for (const parameter of target.parameters) {
    const { name, layer, dims } = parameter;
    if (layer === null || dims.length !== 2) continue;
    const d = dims.findIndex((dim) => dim.role === "out");
    const copies = d < 0 ? [] : copiesAlong(growth, dims[d]);
    if (copies.length > 0) addCosines(await read(name), shapeOf(parameter), d, copies, sums[layer]);
  }
  return sums.map(({ sum, count }) => (count === 0 ? null : Number((sum / count).toFixed(6))));
}

/** The indices along a dimension that are copies, each with the one it is a copy of. */
function copiesAlong(growth: Growth, dim: Dim): readonly (readonly [copy: number, original: number])[] {
  const [isNew, copiesNone] = [newUnits(growth, dim), uncopiedUnits(growth, dim)];
  const made = [...indexAlong(growth, dim).entries()];
  const originals = new Map(made.filter(([i]) => isNew[i] === 0).map(([i, unit]) => [unit, i]));
  return made.filter(([i]) => isNew[i] === 1 && copiesNone[i] === 0).map(([i, unit]) => [i, originals.get(unit) ?? i]);
}

/** Adds the cosine of every copy along dimension `d` with its original; vectors of 0 are left out. */
function addCosines(
  values: Float32Array,
  [rows, columns]: readonly number[],
  d: number,
  copies: readonly (readonly [copy: number, original: number])[],
  into: { sum: number; count: number },
): void {
  const [unitStride, stride, length] = d === 0 ? [columns, 1, columns] : [1, columns, rows];
  for (const [copy, original] of copies) {
    const a = copy * unitStride;
    const b = original * unitStride;
    let [product, ofA, ofB] = [0, 0, 0];
    for (let i = 0; i < length * stride; i += stride) {
      product += values[a + i] * values[b + i];
      ofA += values[a + i] ** 2;
      ofB += values[b + i] ** 2;
    }
    if (ofA === 0 || ofB === 0) continue;
    into.sum += product / Math.sqrt(ofA * ofB);
    into.count++;
  }
}
