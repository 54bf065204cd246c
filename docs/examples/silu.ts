/** The sigmoid-weighted linear unit (Elfwing et al. 2018): x·σ(x) = x / (1 + e^(−x)), elementwise. */
import { expectCount, expectReal, gradientOfFirst } from "../../src/program/check.ts";
import { expansionFlops } from "../../src/program/composite.ts";
import type { NoAttributes } from "../../src/program/elementwise.ts";
import type { Builder, Operation, Value } from "../../src/program/graph.ts";
import { add, constant, div, exp, mul, neg, recip, sub } from "../../src/program/ops/index.ts";

export const siluOp: Operation<NoAttributes> = {
  name: "silu",
  infer(inputs) {
    expectCount("silu", inputs, 1);
    expectReal("silu", "x", inputs[0]);
    return [{ dtype: "f32", shape: inputs[0].shape }];
  },
  // With σ = σ(x) and y = x·σ: dy/dx = σ + y·(1 − σ).
  gradient(b, node, gradients) {
    const g = gradientOfFirst("silu", gradients);
    const [x] = node.inputs;
    const [y] = node.outputs;
    const one = constant(b, 1);
    const sigmoid = recip(b, add(b, exp(b, neg(b, x)), one));
    return [mul(b, g, add(b, sigmoid, mul(b, y, sub(b, one, sigmoid))))];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(siluOp, inputs, attrs),
  expand: (b, [x]) => [div(b, x, add(b, exp(b, neg(b, x)), constant(b, 1)))],
};

export function silu(b: Builder, x: Value): Value {
  return b.apply(siluOp, [x], {})[0];
}
