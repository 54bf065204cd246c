/**
 * A grown model and its source in parts that a small memory holds: one block of the source at a time with those made from
 * it, between embeddings and heads, as a model of its own.
 *
 * Of the block a run of heads of keys and values, with all that share them, and a run of FFN units, drawn for each block;
 * of the grown one all that are made from them. Of the vocabulary the ids of the inputs. The stream is whole. What is
 * promised of a whole network is promised of such a part too: shares add up for each unit by itself, and blocks hand the
 * stream on. The other way it is a sample: units that were not drawn, and blocks one upon the other, were not compared.
 */
import { mapOf } from "../growth/maps.ts";
import type { GrowthPlan } from "../growth/plan.ts";
import { gather, rowCount, rowWidth } from "../growth/recipe.ts";
import { along } from "../growth/width.ts";
import type { Model } from "../model/architecture.ts";
import { type Axis, type Dim, parameterCount, runsAlong, shapeOf } from "../model/table.ts";
import { RandomStream } from "../util/random.ts";
import type { ProbeInputs } from "./inputs.ts";
import type { Computes } from "./verify.ts";

export interface Part {
  readonly inputs: ProbeInputs;
  source(of: Computes): Computes;
  grown(of: Computes): Computes;
}

/** What was looked at: each of so many blocks with so many heads of keys and values and FFN units, so many ids. */
export interface Sampled {
  readonly layers: number;
  readonly kvHeads: number;
  readonly ffn: number;
  readonly ids: number;
}

export interface Sample {
  readonly parts: readonly Part[];
  readonly sampled?: Sampled;
}

/** Numbers of a grown part's blocks, about: 64 MB in float32. */
const NUMBERS = 2 ** 24;

/** Numbers read at a time. */
const SLICE = 2 ** 20;

type Units = ReadonlyMap<Axis, Uint32Array>;

export function partsOf(plan: GrowthPlan, inputs: ProbeInputs, seed: number): Sample {
  const { source, target, maps } = plan.growth;
  const ids = Uint32Array.from(new Set(inputs.ids)).sort();
  const place = new Map(Array.from(ids, (id, i) => [id, i]));
  const renamed = { ...inputs, ids: inputs.ids.map((id) => place.get(id) ?? 0) };
  const { layers, kvHeads, ffn } = source.dimensions;
  const madeOf = Array.from({ length: layers }, (_, layer) => {
    return plan.layers.flatMap(({ from }, made) => (from === layer ? [made] : []));
  });
  const sizes = madeOf.map((made) => parameterCount(target.parameters.filter((p) => made.includes(p.layer ?? -1))));
  const share = Math.min(1, NUMBERS / Math.max(...sizes));
  const counts = { kv: Math.ceil(kvHeads * share), ffn: Math.ceil(ffn * share) };
  const parts = madeOf.map((made, layer): Part => {
    const drawn = (axis: "kv" | "ffn", size: number) => {
      const first = new RandomStream(seed, `sample/${axis}`).below(size - counts[axis] + 1, layer);
      return Uint32Array.from({ length: counts[axis] }, (_, i) => first + i);
    };
    const own: Units = new Map([
      ["vocab", ids],
      ["kv", drawn("kv", kvHeads)],
      ["ffn", drawn("ffn", ffn)],
    ]);
    const copies = [...own].map(([axis, units]): [Axis, Uint32Array] => {
      const map = mapOf(maps, axis);
      const chosen = new Set(units);
      return [
        axis,
        map === undefined ? units : Uint32Array.from([...map.of.keys()].filter((j) => chosen.has(map.of[j]))),
      ];
    });
    return {
      inputs: renamed,
      source: (of) => partOf(of, [layer], own),
      grown: (of) => partOf(of, made, new Map(copies)),
    };
  });
  return { parts, sampled: { layers, kvHeads: counts.kv, ffn: counts.ffn, ids: ids.length } };
}

/** Some blocks, one upon the other, with some units of some axes; names stay, so weights are found under them. */
function partOf({ model, weights }: Computes, layers: readonly number[], units: Units): Computes {
  const narrow = (dim: Dim): Dim => {
    const factors = dim.factors.map(({ axis, size }) => ({ axis, size: units.get(axis)?.length ?? size }));
    return { ...dim, factors, size: factors.reduce((product, { size }) => product * size, 1) };
  };
  const parameters = model.parameters.flatMap((parameter) => {
    const layer = parameter.layer === null ? null : layers.indexOf(parameter.layer);
    return layer === -1 ? [] : [{ ...parameter, layer, dims: parameter.dims.map(narrow) }];
  });
  const { dimensions: d, kinds } = model;
  const [kv, ffn, vocab] = (["kv", "ffn", "vocab"] as const).map((axis) => units.get(axis)?.length ?? 0);
  const dimensions = { ...d, layers: layers.length, kvHeads: kv, heads: (d.heads / d.kvHeads) * kv, ffn, vocab };
  const part: Model = { ...model, parameters, dimensions, kinds: kinds && layers.map((layer) => kinds[layer]) };
  const whole = new Map(model.parameters.map((parameter) => [parameter.name, parameter]));
  const narrowed = new Map(parameters.map((parameter) => [parameter.name, parameter]));
  const readF32 = async (name: string) => {
    const [all, some] = [whole.get(name), narrowed.get(name)];
    if (all === undefined || some === undefined) throw new RangeError(`no parameter ${name}`);
    const dims = some.dims.map((dim, i) => {
      if (![...units.keys()].some((axis) => runsAlong(dim, axis))) return null;
      const sizes = new Map(all.dims[i].factors.map(({ axis, size }) => [axis, size]));
      const index = along(dim, 0, ({ axis, size }) => {
        const chosen = units.get(axis);
        return (value, j) => value * (sizes.get(axis) ?? size) + (chosen?.[j] ?? j);
      });
      return { index: Uint32Array.from(index) };
    });
    const shape = shapeOf(some);
    const recipe = gather({ name, shape: shapeOf(all) }, shape, dims, "");
    const width = rowWidth(shape);
    const out = new Float32Array(rowCount(shape) * width);
    const step = Math.max(1, Math.floor(SLICE / rowWidth(shapeOf(all))));
    for (let row = 0; row * width < out.length; row += step) {
      const rows = out.subarray(row * width, (row + step) * width);
      await recipe.fill(rows, row, { read: (of, start, count) => weights.readF32(of, start, count) });
    }
    return out;
  };
  return { model: part, weights: { readF32 } };
}
