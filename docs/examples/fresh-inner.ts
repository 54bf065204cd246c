/**
 * Fresh inner units: new heads and FFN units read the stream with random weights and write nothing into it yet: the
 * function stays, no two are alike. The stream is copied as by fpi. `npx vitest run test/growth/example.test.ts` runs it.
 */
import {
  AXES,
  choose,
  constant,
  copied,
  copiesKeepTheFunction,
  fresh,
  grownFactors,
  newUnits,
  type WidthMethod,
} from "bert2bert";

export const freshInner: WidthMethod = {
  name: "fresh-inner",
  description: "new heads and FFN units are random and write nothing yet; the stream is copied as by fpi",
  paper: { title: "LEMON: Lossless Model Expansion", url: "https://arxiv.org/abs/2310.07999" },
  options: [],
  promise: copiesKeepTheFunction,

  recipe(parameter, growth, content) {
    // An old inner unit keeps the whole of what reads it: nothing is shared with the new ones.
    const own = copied(growth, parameter, content, parameter.layer, (axis) => (AXES[axis].inner ? 1 : undefined));
    const d = parameter.dims.findIndex((dim) => grownFactors(growth, dim).some(({ axis }) => AXES[axis].inner));
    if (d < 0) return own;
    const drawn = content === "weight" && parameter.dims[d].role === "out";
    const rest = drawn ? fresh(growth, parameter) : constant(own.shape, 0);
    return choose(d, newUnits(growth, parameter.dims[d]), own, rest, `${own.words}; new units ${rest.words}`);
  },
};
