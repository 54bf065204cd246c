/**
 * Fresh inner units: new heads and FFN units read the stream with random weights and write nothing into it yet, so the
 * function stays and no two units are alike. The stream itself, where it grows, is copied as by fpi.
 */
import type { Growth, WidthMethod } from "../../src/growth/growth.ts";
import type { UnitMap } from "../../src/growth/maps.ts";
import { copiesKeepTheFunction } from "../../src/growth/methods/fpi.ts";
import { choose, constant } from "../../src/growth/recipe.ts";
import { copied, fresh, grownMap, newUnits } from "../../src/growth/width.ts";

const isInner = (growth: Growth, map: UnitMap | undefined) => map === growth.maps.heads || map === growth.maps.ffn;

export const freshInner: WidthMethod = {
  name: "fresh-inner",
  description: "new heads and FFN units are random and write nothing yet; the stream is copied as by fpi",
  paper: { title: "LEMON: Lossless Model Expansion", url: "https://arxiv.org/abs/2310.07999" },
  options: [],
  promise: copiesKeepTheFunction,

  recipe(parameter, growth, content) {
    // An old inner unit keeps the whole of what reads it: nothing is shared with the new ones.
    const own = copied(growth, parameter, content, parameter.layer, (map, unit) =>
      isInner(growth, map) ? 1 : 1 / map.counts[map.of[unit]],
    );
    const d = parameter.dims.findIndex((dim) => isInner(growth, grownMap(growth, dim)));
    const map = d < 0 ? undefined : grownMap(growth, parameter.dims[d]);
    if (map === undefined) return own;
    const drawn = content === "weight" && parameter.dims[d].role === "out";
    const rest = drawn ? fresh(growth, parameter) : constant(own.shape, 0);
    return choose(d, newUnits(parameter.dims[d], map), own, rest, `${own.words}; new units ${rest.words}`);
  },
};
