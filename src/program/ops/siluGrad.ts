/** The gradient of silu from g and x: g · σ(x) · (1 + x·(1 − σ(x))). */
import { expectCount, expectReal, expectShape } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { constant } from "./constant.ts";
import { mul } from "./mul.ts";
import { scale } from "./scale.ts";
import { sub } from "./sub.ts";
import { tanh } from "./tanh.ts";

export const siluGradOp: Operation<NoAttributes> = {
  name: "siluGrad",
  infer(inputs) {
    expectCount("siluGrad", inputs, 2);
    const [g, x] = inputs;
    expectReal("siluGrad", "x", x);
    expectShape("siluGrad", "g", g, x.shape);
    return [{ dtype: "f32", shape: x.shape }];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(siluGradOp, inputs, attrs),
  expand(b, [g, x]) {
    const share = sigmoid(b, x);
    const one = constant(b, 1);
    return [mul(b, g, mul(b, share, add(b, mul(b, x, sub(b, one, share)), one)))];
  },
};

export function siluGrad(b: Builder, g: Value, x: Value): Value {
  return b.apply(siluGradOp, [g, x], {})[0];
}

/** σ(x) as ½(1 + tanh(x/2)): finite wherever x is. */
export function sigmoid(b: Builder, x: Value): Value {
  return scale(b, add(b, tanh(b, scale(b, x, 0.5)), constant(b, 1)), 0.5);
}
