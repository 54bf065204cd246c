/**
 * Activations keep their size: new units are as large as those they are made from and have nothing in common with them,
 * and what reads N units in place of n is multiplied with √(n / N), as a sum of N unrelated terms is so much larger. After
 * Yu et al., "SPARKLING" (2026): RMS kept as the width grows, the optimizer's state asymmetric between old and new units,
 * the rate warmed up anew (a stage's schedule).
 *
 * Taken from its abstract are these aims; how new units are drawn is ours: each of their weights, written or read, is the
 * weight of the unit it is made from with a sign drawn at random. So no size has to be measured, and the RMS is kept in
 * the mean over the signs as far as what is summed is uncorrelated. Vectors (gains, biases) are copied. What reads is
 * whatever the table says reads: with a tied head the norm before it.
 *
 * Moments: old units keep theirs, new ones start at 0, whatever the mode. For exact copies told apart by moments alone:
 * `fpi` with moments `old-only`.
 */
import { type Parameter, shapeOf } from "../../model/table.ts";
import { RandomStream } from "../../util/random.ts";
import { type Growth, grownMaps, sourceParameter, type WidthMethod } from "../growth.ts";
import { type Along, constant, gather, type Recipe, rowWidth } from "../recipe.ts";
import { corner, grownFactors, indexAlong, newUnits } from "../width.ts";

export const sparkling: WidthMethod = {
  name: "sparkling",
  description:
    "activations keep their RMS: new units as large as old ones, signs at random, reading scaled to the width",
  paper: {
    title: "SPARKLING: Balancing Signal Preservation and Symmetry Breaking for Width-Progressive Learning",
    url: "https://arxiv.org/abs/2602.02472",
  },
  options: [],

  promise(growth) {
    return grownMaps(growth).length > 0
      ? { kind: "none", reason: "new units are random: activations keep their size, not their values" }
      : { kind: "exact", reason: "the width stays" };
  },

  // `of` says whose size a new unit has; a copy of it it is not.
  maps: ({ drawn }) =>
    new Map(
      [...drawn].map(([axis, map]) => {
        return [axis, { ...map, counts: new Uint32Array(map.source).fill(1), copies: map.source }];
      }),
    ),

  recipe(parameter, growth, content) {
    const from = sourceParameter(growth, parameter);
    const shape = shapeOf(parameter);
    const dims = parameter.dims.map((dim): Along | null => {
      const grown = grownFactors(growth, dim);
      if (grown.length === 0) return null;
      const share = grown.reduce((product, { map }) => (product * map.source) / map.of.length, 1);
      const scaled = dim.role === "in" && content === "weight";
      const factor = scaled ? new Float64Array(dim.size).fill(Math.sqrt(share)) : undefined;
      return { index: indexAlong(growth, dim), factor };
    });
    const made = gather({ name: from.name, shape: shapeOf(from) }, shape, dims, "of the source's size");
    if (content === "weight") return withSigns(made, growth, parameter);
    return corner(growth, parameter, { ...made, words: "the source's own" }, constant(shape, 0));
  },
};

/** A matrix with a sign drawn at random on every entry that a new unit writes or reads. */
function withSigns(made: Recipe, growth: Growth, { name, dims }: Parameter): Recipe {
  if (dims.length !== 2) return made;
  const [rows, columns] = dims.map((dim) => newUnits(growth, dim));
  const random = new RandomStream(growth.seed, `sparkling/${name}`);
  const width = rowWidth(made.shape);
  return {
    ...made,
    words: `${made.words}, new units with random signs`,
    async fill(out, row, source) {
      await made.fill(out, row, source);
      for (let i = 0; i < out.length; i++) {
        const isNew = rows[row + Math.floor(i / width)] === 1 || columns[i % width] === 1;
        if (isNew && random.uniform(row * width + i) < 0.5) out[i] = -out[i];
      }
    },
  };
}
