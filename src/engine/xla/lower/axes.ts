/** Operations on axes: what moves elements, and what reduces along them. */
import type { AttributesOf } from "../../../program/ops/index.ts";
import type { Lowering, Lowerings } from "./lowering.ts";

const reduction =
  (by: string, start: number): Lowering<AttributesOf["reduceSum"]> =>
  (e, { attrs, outputs }, [x]) => [e.reshape(e.reduce(by, x, attrs.axes, start), outputs[0].shape)];

export const axes: Lowerings = {
  reshape: (e, { outputs }, [x]) => [e.reshape(x, outputs[0].shape)],
  transpose: (e, { attrs }, [x]) => [e.transpose(x, attrs.perm)],
  slice: (e, { attrs }, [x]) => [e.slice(x, attrs.axis, attrs.start, attrs.end)],
  pad: (e, { attrs }, [x]) => [e.pad(x, attrs.axis, attrs.before, attrs.after)],
  concat: (e, { attrs }, xs) => [e.concat(xs, attrs.axis)],
  broadcastTo: (e, { outputs }, [x]) => [e.broadcast(x, outputs[0].shape)],
  reduceSum: reduction("add", 0),
  reduceMax: reduction("maximum", Number.NEGATIVE_INFINITY),
  // The smallest index at which the largest entry stands; XLA has no operation of its own for it.
  argmax: (e, _node, [x]) => {
    const last = x.shape.length - 1;
    const largest = e.reduce("maximum", x, [last], Number.NEGATIVE_INFINITY);
    const there = e.compare("EQ", x, e.along(largest, x.shape, [...Array(last).keys()]));
    const index = e.select(there, e.iota("i32", x.shape, last), e.constant(x.shape[last], "i32"));
    return [e.reduce("minimum", index, [last], 2 ** 31 - 1)];
  },
};
