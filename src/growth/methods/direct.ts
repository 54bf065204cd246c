/**
 * DirectCopy: the source fills the corner of every target tensor, the rest is the target's own random initialisation.
 *
 * The baseline of Chen et al., "bert2BERT" (ACL 2022), section 4. Moments: the source's in the corner, 0 elsewhere.
 *
 * `shrink` below 1 is shrink and perturb (Ash and Adams, "On Warm-Starting Neural Network Training", NeurIPS 2020,
 * section 4; on models that grow: Mallik et al., "Warmstarting for Scaling Language Models", 2024): the source's weights
 * times it, and the target's own draw added to them. Where that is no draw but a constant (gains, shifts, biases), they
 * go the same part of the way to it. Moments then start at 0: they belong to other weights.
 */
import { shapeOf } from "../../model/table.ts";
import { UserError } from "../../util/errors.ts";
import { type Growth, grownMaps, sourceParameter, type WidthMethod } from "../growth.ts";
import { type AxisMaps, replaced } from "../maps.ts";
import { constant, gather, summed } from "../recipe.ts";
import { corner, fresh, grownFactors, indexAlong } from "../width.ts";

export const direct: WidthMethod = {
  name: "direct",
  description: "DirectCopy: the source in the corner of every tensor, the rest random as for a new model",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: [
    {
      name: "shrink",
      default: 1,
      description: "shrink and perturb: the source's weights times this (0 to 1), random ones added; 1: neither",
    },
  ],

  promise(growth) {
    const shrink = shrinkOf(growth);
    if (!(shrink >= 0 && shrink <= 1)) {
      throw new UserError(`${shrink} would not shrink weights`, "--shrink", "give a number from 0 to 1, such as 0.4");
    }
    if (shrink !== 1) return { kind: "none", reason: "weights are shrunk, and random ones added" };
    return grownMaps(growth).length > 0
      ? { kind: "none", reason: "new units are random" }
      : { kind: "exact", reason: "no unit is new" };
  },

  maps: ownStream,

  recipe(parameter, growth, content) {
    const from = sourceParameter(growth, parameter);
    const along = parameter.dims.map((dim) => {
      return grownFactors(growth, dim).length === 0 ? null : { index: indexAlong(growth, dim) };
    });
    const own = gather({ name: from.name, shape: shapeOf(from) }, shapeOf(parameter), along, "the source's own");
    const shape = shapeOf(parameter);
    const shrink = shrinkOf(growth);
    if (content !== "weight")
      return shrink === 1 ? corner(growth, parameter, own, constant(shape, 0)) : constant(shape, 0);
    const drawn = fresh(growth, parameter);
    if (shrink === 1) return corner(growth, parameter, own, drawn);
    const mean = parameter.init.kind === "constant" ? parameter.init.value : 0;
    const parts = [
      [own, shrink],
      [drawn, 1],
      [constant(shape, mean), -shrink],
    ] as const;
    return corner(growth, parameter, summed(parts, `the source's times ${shrink}, plus ${drawn.words}`), drawn);
  },
};

function shrinkOf({ options }: Growth): number {
  return Number(options.shrink ?? 1);
}

/** The stream's old units are themselves, the new ones nobody's copies. */
export function ownStream({ drawn }: Growth): AxisMaps {
  return replaced(drawn, "hidden", (map) => {
    return { ...map, counts: new Uint32Array(map.source).fill(1), copies: map.source };
  });
}
