/**
 * Fresh inner units: new heads and FFN units read the stream with random weights and write nothing into it yet, so the
 * function stays, no two units are alike, and what they write gets a gradient in the first step. The stream itself, where
 * it grows, is copied as by fpi.
 *
 * Zero read-outs as in Wang et al., "LEMON" (ICLR 2024), and Net2Net's successors; exact wherever fpi is: heads and FFN
 * at any ratio. Moments: old units keep theirs whole, new ones start at 0.
 */
import type { Parameter } from "../../model/table.ts";
import type { Content, Growth, WidthMethod } from "../growth.ts";
import type { UnitMap } from "../maps.ts";
import { choose, constant, type Recipe } from "../recipe.ts";
import { sharing } from "../shares.ts";
import { copied, fresh as drawn, grownMap, newUnits } from "../width.ts";
import { copiesKeepTheFunction } from "./fpi.ts";

export const fresh: WidthMethod = {
  name: "fresh",
  description: "new heads and FFN units are random and write nothing yet; the stream is copied as by fpi",
  paper: { title: "LEMON: Lossless Model Expansion", url: "https://arxiv.org/abs/2310.07999" },
  options: sharing,
  promise: copiesKeepTheFunction,
  recipe: (parameter, growth, content) =>
    withFreshInner(parameter, growth, content, copied(growth, parameter, content, parameter.layer, ownInner(growth))),
};

function isInner(growth: Growth, map: UnitMap | undefined): boolean {
  return map !== undefined && (map === growth.maps.heads || map === growth.maps.ffn);
}

/** An old inner unit keeps the whole of what reads it: nothing is shared with the new ones. */
export function ownInner(growth: Growth): (map: UnitMap, unit: number) => number | undefined {
  return (map, unit) => (isInner(growth, map) ? (unit < map.source ? 1 : 0) : undefined);
}

/** @param own what the old units have, made with the shares of `ownInner` */
export function withFreshInner(parameter: Parameter, growth: Growth, content: Content, own: Recipe): Recipe {
  const d = parameter.dims.findIndex((dim) => isInner(growth, grownMap(growth, dim)));
  const map = d < 0 ? undefined : grownMap(growth, parameter.dims[d]);
  if (map === undefined) return own;
  const writes = parameter.dims[d].role === "in";
  const rest = content === "weight" && !writes ? drawn(growth, parameter) : constant(own.shape, 0);
  return choose(d, newUnits(parameter.dims[d], map), own, rest, `${own.words}; new units ${rest.words}`);
}
