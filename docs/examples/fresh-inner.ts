/**
 * Fresh inner units: new heads and FFN units read the stream with random weights and write nothing into it yet: the
 * function stays, no two are alike. The stream is copied as by fpi. `npx vitest run test/growth/example.test.ts` runs it.
 */
import {
  choose,
  constant,
  copied,
  copiesKeepTheFunction,
  fresh,
  type Growth,
  grownMap,
  newUnits,
  type UnitMap,
  type WidthMethod,
} from "bert2bert";

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
