/**
 * How what reads a copied unit is shared among its copies.
 *
 * Any shares that add up to 1 keep the function, but equal ones give the copies equal gradients, and in training without
 * dropout they never come apart. `unequal`: positive shares drawn for each copy (for attention by whole heads). `noisy`:
 * equal shares, and on every weight noise of which the copies' together is 0 (HyperCloning, Samragh et al. 2024; the
 * symmetry breaking of LEMON, Wang et al., ICLR 2024, is the same).
 *
 * Moments: with unequal shares on heads and FFN 1/C becomes the share, exactly. On the residual stream LayerNorm's
 * backward pass mixes the units and no such rule holds, so all moments start at 0. Noise moves the gradients of copies
 * apart about those of equal shares, whose rule stays.
 */
import { AXES, type Axis, elements, type Parameter, shapeOf } from "../model/table.ts";
import { RandomStream } from "../util/random.ts";
import { type Growth, type OptionDefinition, seenByNorms, sourceParameter } from "./growth.ts";
import { copiesOf, type UnitMap } from "./maps.ts";
import { onceFor, type Recipe, rowWidth, type TensorSource } from "./recipe.ts";

export const noiseOption: OptionDefinition = {
  name: "noise",
  default: 10,
  description: "how far the weights stand above noise that cancels, in dB",
};

/** The options of a method whose copies may share unequally. */
export const sharing: readonly OptionDefinition[] = [
  {
    name: "shares",
    words: ["equal", "unequal", "noisy"],
    description:
      "how the weights that read a unit are divided among its copies: equally, unequally, or equally with noise that cancels",
  },
  noiseOption,
];

/** The share of each unit of an axis in the source unit it copies; 0 for one that copies none. */
export function sharesOf(growth: Growth, axis: Axis, map: UnitMap): Float64Array {
  const copies = copiesOf(map);
  const shares = new Float64Array(map.of.length);
  if (growth.options.shares !== "unequal") {
    for (let j = 0; j < copies; j++) shares[j] = 1 / map.counts[map.of[j]];
    return shares;
  }
  const random = new RandomStream(growth.seed, `shares/${AXES[AXES[axis].follows ?? axis].name}`);
  const sums = new Float64Array(map.source);
  for (let j = 0; j < copies; j++) {
    shares[j] = 0.5 + random.uniform(j);
    sums[map.of[j]] += shares[j];
  }
  for (let j = 0; j < copies; j++) shares[j] /= sums[map.of[j]];
  return shares;
}

/** Whether moments can follow the weights. */
export function momentsFollow(growth: Growth): boolean {
  return growth.options.shares !== "unequal" || seenByNorms(growth).length === 0;
}

/**
 * A matrix with noise along the dimension that reads copies: for each unit that is read the copies' noise adds up to 0.
 * @param index the source index of each index along dimension `d` @param shares of each index there
 */
export function withNoise(
  base: Recipe,
  growth: Growth,
  parameter: Parameter,
  d: number,
  index: Uint32Array,
  shares: Float64Array,
): Recipe {
  const shape = shapeOf(parameter);
  const width = rowWidth(shape);
  const random = new RandomStream(growth.seed, `noise/${parameter.layer ?? "-"}/${parameter.kind}`);
  const strength = 10 ** (-Number(growth.options.noise) / 20);
  const groups = new Map<number, number[]>();
  index.forEach((unit, i) => {
    if (shares[i] > 0) groups.set(unit, [...(groups.get(unit) ?? []), i]);
  });
  const several = [...groups.values()].filter((copies) => copies.length > 1);
  // Taking the mean away takes some of the variance, which is given back.
  const scaleOf = (copies: readonly number[]) => shares[copies[0]] * Math.sqrt(copies.length / (copies.length - 1));
  const rms = rootMeanSquare(base.reads[0], elements(sourceParameter(growth, parameter)));
  return {
    ...base,
    words: `${base.words}, with noise that cancels`,
    lossless: false,
    async fill(out, row, source) {
      await base.fill(out, row, source);
      const size = strength * (await rms(source));
      const rows = out.length / width;
      if (d === shape.length - 1) {
        const drawn = new Float64Array(width);
        for (let r = 0; r < rows; r++) {
          for (const copies of several) {
            let mean = 0;
            for (const i of copies) {
              drawn[i] = random.normal((row + r) * width + i);
              mean += drawn[i] / copies.length;
            }
            const scale = size * scaleOf(copies);
            for (const i of copies) out[r * width + i] += scale * (drawn[i] - mean);
          }
        }
        return;
      }
      const copiesOfRow = new Map(several.flatMap((copies) => copies.map((i) => [i, copies] as const)));
      for (let r = 0; r < rows; r++) {
        const copies = copiesOfRow.get(row + r);
        if (copies === undefined) continue;
        const scale = size * scaleOf(copies);
        for (let j = 0; j < width; j++) {
          let mean = 0;
          for (const i of copies) mean += random.normal(i * width + j) / copies.length;
          out[r * width + j] += scale * (random.normal((row + r) * width + j) - mean);
        }
      }
    },
  };
}

const CHUNK = 2 ** 20;

function rootMeanSquare(name: string, count: number): (source: TensorSource) => Promise<number> {
  return onceFor(async (source) => {
    let sum = 0;
    for (let start = 0; start < count; start += CHUNK) {
      for (const value of await source.read(name, start, Math.min(CHUNK, count - start))) sum += value * value;
    }
    return Math.sqrt(sum / count);
  });
}
