/**
 * Fresh inner units: new heads and FFN units read the stream with random weights and write nothing into it yet, so the
 * function stays, no two units are alike, and what they write gets a gradient in the first step. The stream itself, where
 * it grows, is copied as by fpi.
 *
 * Zero read-outs as in Wang et al., "LEMON" (ICLR 2024), and Net2Net's successors; exact wherever fpi is: heads and FFN
 * at any ratio. Moments: old units keep theirs whole, new ones start at 0.
 */
import { AXES, type Parameter } from "../../model/table.ts";
import type { Content, Growth, WidthMethod } from "../growth.ts";
import { choose, constant, type Recipe } from "../recipe.ts";
import { sharing } from "../shares.ts";
import { copied, fresh as drawn, grownFactors, newUnits, type Share } from "../width.ts";
import { copiesKeepTheFunction } from "./fpi.ts";

export const fresh: WidthMethod = {
  name: "fresh",
  description: "new heads and FFN units are random and write nothing yet; the stream is copied as by fpi",
  paper: { title: "LEMON: Lossless Model Expansion", url: "https://arxiv.org/abs/2310.07999" },
  options: sharing,
  promise: copiesKeepTheFunction,
  recipe: (parameter, growth, content) =>
    withFreshInner(parameter, growth, content, copied(growth, parameter, content, parameter.layer, ownInner)),
};

/** An old inner unit keeps the whole of what reads it: nothing is shared with the new ones. */
export const ownInner: Share = (axis, map, unit) => (AXES[axis].inner ? Number(unit < map.source) : undefined);

/** @param own what the old units have, made with the shares of `ownInner` */
export function withFreshInner(parameter: Parameter, growth: Growth, content: Content, own: Recipe): Recipe {
  const d = parameter.dims.findIndex((dim) => grownFactors(growth, dim).some(({ axis }) => AXES[axis].inner));
  if (d < 0) return own;
  const writes = parameter.dims[d].role === "in";
  const rest = content === "weight" && !writes ? drawn(growth, parameter) : constant(own.shape, 0);
  return choose(d, newUnits(growth, parameter.dims[d]), own, rest, `${own.words}; new units ${rest.words}`);
}
