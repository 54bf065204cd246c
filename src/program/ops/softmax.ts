/** Softmax over the last axis, computed from the differences to the largest entry. */
import { expectCount, expectReal, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { div } from "./div.ts";
import { exp } from "./exp.ts";
import { mul } from "./mul.ts";
import { reduceMax } from "./reduceMax.ts";
import { reduceSum } from "./reduceSum.ts";
import { sub } from "./sub.ts";

export const softmaxOp: Operation<NoAttributes> = {
  name: "softmax",
  infer(inputs) {
    expectCount("softmax", inputs, 1);
    expectReal("softmax", "x", inputs[0]);
    if (inputs[0].shape.length === 0) fail("softmax", "a scalar has no last axis");
    return [{ dtype: "f32", shape: inputs[0].shape }];
  },
  // y · (g − Σ g·y)
  gradient(b, node, gradients) {
    const g = gradientOfFirst("softmax", gradients);
    const [y] = node.outputs;
    const mean = reduceSum(b, mul(b, g, y), [y.shape.length - 1], true);
    return [mul(b, y, sub(b, g, mean))];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(softmaxOp, inputs, attrs),
  expand(b, [x]) {
    const last = [x.shape.length - 1];
    const powers = exp(b, sub(b, x, reduceMax(b, x, last, true)));
    return [div(b, powers, reduceSum(b, powers, last, true))];
  },
};

export function softmax(b: Builder, x: Value): Value {
  return b.apply(softmaxOp, [x], {})[0];
}
