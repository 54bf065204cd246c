/** Softmax over the last axis, computed from the differences to the largest entry. */
import type { Builder, NoAttributes, Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { reduceMax, reduceSum } from "./axes.ts";
import { div, exp, mul, sub } from "./elementwise.ts";

export const softmaxOp = operation<NoAttributes>("softmax", takes("x [*, n] -> [*, n]"), {
  // y · (g − Σ g·y)
  gradient(b, [g], { outputs: [y] }) {
    const mean = reduceSum(b, mul(b, g, y), [y.shape.length - 1], true);
    return [mul(b, y, sub(b, g, mean))];
  },
  expand(b, [x]) {
    const last = [x.shape.length - 1];
    const powers = exp(b, sub(b, x, reduceMax(b, x, last, true)));
    return [div(b, powers, reduceSum(b, powers, last, true))];
  },
});

export function softmax(b: Builder, x: Value): Value {
  return b.apply(softmaxOp, [x], {})[0];
}
