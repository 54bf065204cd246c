/**
 * DirectCopy: the source fills the corner of every target tensor, the rest is the target's own random initialisation.
 *
 * The baseline of Chen et al., "bert2BERT" (ACL 2022), section 4. Moments: the source's in the corner, 0 elsewhere.
 */
import { shapeOf } from "../../model/table.ts";
import { type Growth, sourceParameter, type WidthMethod } from "../growth.ts";
import { grows, type UnitMap } from "../maps.ts";
import { constant, gather } from "../recipe.ts";
import { corner, fresh, grownMap, indexAlong } from "../width.ts";

export const direct: WidthMethod = {
  name: "direct",
  description: "DirectCopy: the source in the corner of every tensor, the rest random as for a new model",
  paper: { title: "bert2BERT: Towards Reusable Pretrained Language Models", url: "https://arxiv.org/abs/2110.07143" },
  options: [],

  promise({ maps }) {
    return [maps.hidden, maps.heads, maps.ffn].some(grows)
      ? { kind: "none", reason: "new units are random" }
      : { kind: "exact", reason: "no unit is new" };
  },

  stream: cornerMap,

  recipe(parameter, growth, content) {
    const from = sourceParameter(growth, parameter);
    const along = parameter.dims.map((dim) => {
      const map = grownMap(growth, dim);
      return map === undefined ? null : { index: indexAlong(dim, map) };
    });
    const own = gather({ name: from.name, shape: shapeOf(from) }, shapeOf(parameter), along, "the source's own");
    const rest = content === "weight" ? fresh(growth, parameter) : constant(shapeOf(parameter), 0);
    return corner(growth, parameter, own, rest);
  },
};

/** The stream's old units are themselves, the new ones nobody's copies. */
export function cornerMap({ maps: { hidden } }: Growth): UnitMap {
  return { ...hidden, counts: new Uint32Array(hidden.source).fill(1), copies: hidden.source };
}
