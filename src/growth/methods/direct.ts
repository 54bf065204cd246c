/**
 * DirectCopy: the source fills the corner of every target tensor, the rest is the target's own random initialisation.
 *
 * The baseline of Chen et al., "bert2BERT" (ACL 2022), section 4. Moments: the source's in the corner, 0 elsewhere.
 */
import { shapeOf } from "../../model/table.ts";
import { type Growth, grownMaps, sourceParameter, type WidthMethod } from "../growth.ts";
import { type AxisMaps, replaced } from "../maps.ts";
import { constant, gather } from "../recipe.ts";
import { corner, fresh, grownFactors, indexAlong } from "../width.ts";

export const direct: WidthMethod = {
  name: "direct",
  description: "DirectCopy: the source in the corner of every tensor, the rest random as for a new model",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: [],

  promise(growth) {
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
    const rest = content === "weight" ? fresh(growth, parameter) : constant(shapeOf(parameter), 0);
    return corner(growth, parameter, own, rest);
  },
};

/** The stream's old units are themselves, the new ones nobody's copies. */
export function ownStream({ drawn }: Growth): AxisMaps {
  return replaced(drawn, "hidden", (map) => {
    return { ...map, counts: new Uint32Array(map.source).fill(1), copies: map.source };
  });
}
