/**
 * Whether the copies of a grown model have come apart: the mean cosine between the weights of new units and those of the
 * units they were made from, by layer.
 *
 * For every matrix of a block and every grown axis along which it makes units (rows of W_Q, W_K, W_V and the FFN's first
 * layer for heads and FFN units, of what writes the stream for its units): 1 while copies are alike, as FPI's stay in
 * training without dropout; about 0 for units that have nothing in common. The last growth counts.
 */

import { axisMaps, copiesOf, grows, mapOf, type UnitMap, unitsAlong } from "../growth/maps.ts";
import { methodOf } from "../growth/methods.ts";
import { parseRecord } from "../growth/record.ts";
import type { Model } from "../model/architecture.ts";
import { type Dim, type Parameter, shapeOf } from "../model/table.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";

/** Which units of a block are copies, by axis. */
export class Symmetry {
  readonly #model: Model;
  readonly #map: (dim: Dim) => UnitMap | undefined;

  private constructor(model: Model, map: (dim: Dim) => UnitMap | undefined) {
    this.#model = model;
    this.#map = map;
  }

  /** @param growth how the model was grown (growth.json) @returns undefined where its width was not, or it is of another kind */
  static of(model: Model, growth: Json | undefined): Symmetry | undefined {
    if (growth === undefined) return undefined;
    try {
      const { choices, sourceLayers } = parseRecord(growth, "growth.json");
      const { maps: drawn, options = {}, seed = 0 } = choices;
      const { architecture, dimensions, heads } = model;
      const fits = (["hidden", "heads", "ffn"] as const).every((axis) => drawn[axis].of.length === dimensions[axis]);
      if (!fits || ![drawn.hidden, drawn.heads, drawn.ffn].some(grows)) return undefined;
      const method = typeof choices.method === "string" ? methodOf(choices.method) : choices.method;
      const sizes = { hidden: drawn.hidden.source, heads: drawn.heads.source, ffn: drawn.ffn.source };
      const config = architecture.resize(model.config, { ...sizes, layers: sourceLayers });
      const source = architecture.model(config, "growth.json", heads);
      const maps = axisMaps(drawn, dimensions.headWidth);
      const stream = method.stream?.({ source, target: model, maps, options, seed }) ?? maps.hidden;
      return new Symmetry(model, (dim) => (dim.axis === "hidden" ? stream : mapOf(maps, dim.axis)));
    } catch (error) {
      // A record of another version, or of a method of somebody's own: nothing is known of its copies.
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }

  /** The mean over a layer's copies, bottom to top; null for one that has none. @param read a parameter's values */
  async measure(read: (name: string) => Promise<Float32Array>): Promise<readonly (number | null)[]> {
    const sums = Array.from({ length: this.#model.dimensions.layers }, () => ({ sum: 0, count: 0 }));
    for (const parameter of this.#model.parameters) {
      const { layer, dims } = parameter;
      if (layer === null || dims.length !== 2) continue;
      const d = dims.findIndex((dim) => dim.role === "out");
      const map = d < 0 ? undefined : this.#map(dims[d]);
      if (map === undefined || copiesOf(map) === map.source) continue;
      addCosines(await read(parameter.name), parameter, d, map, sums[layer]);
    }
    return sums.map(({ sum, count }) => (count === 0 ? null : Number((sum / count).toFixed(6))));
  }
}

/** Adds the cosine of every copy along dimension `d` with its original; vectors of 0 are left out. */
function addCosines(
  values: Float32Array,
  parameter: Parameter,
  d: number,
  map: UnitMap,
  into: { sum: number; count: number },
): void {
  const [rows, columns] = shapeOf(parameter);
  const { blocks, units } = unitsAlong(parameter.dims[d]);
  const [unitStride, stride, length] = d === 0 ? [columns, 1, columns] : [1, columns, rows];
  for (let block = 0; block < blocks; block++) {
    for (let j = map.source; j < copiesOf(map); j++) {
      const a = (block * units + j) * unitStride;
      const b = (block * units + map.of[j]) * unitStride;
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
}
