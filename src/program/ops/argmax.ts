/** The index of the largest entry along the last axis, the first of several: [..., n] → i32 [...]. */
import { expectCount, expectReal, fail } from "../check.ts";
import type { NoAttributes } from "../elementwise.ts";
import { type Builder, type Operation, size, type Value } from "../graph.ts";

export const argmaxOp: Operation<NoAttributes> = {
  name: "argmax",
  infer(inputs) {
    expectCount("argmax", inputs, 1);
    const [x] = inputs;
    expectReal("argmax", "x", x);
    if (x.shape.length === 0) fail("argmax", "a scalar has no last axis");
    return [{ dtype: "i32", shape: x.shape.slice(0, -1) }];
  },
  flops: ([x]) => size(x.shape),
};

export function argmax(b: Builder, x: Value): Value {
  return b.apply(argmaxOp, [x], {})[0];
}
