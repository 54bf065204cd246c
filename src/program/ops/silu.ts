/** The sigmoid-weighted linear unit (Elfwing et al. 2018), elementwise: x·σ(x) = x / (1 + e^(−x)). Llama's activation. */
import { expectCount, expectReal, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { mul } from "./mul.ts";
import { sigmoid, siluGrad } from "./siluGrad.ts";

export const siluOp: Operation<NoAttributes> = {
  name: "silu",
  infer(inputs) {
    expectCount("silu", inputs, 1);
    expectReal("silu", "x", inputs[0]);
    return [{ dtype: "f32", shape: inputs[0].shape }];
  },
  gradient: (b, node, gradients) => [siluGrad(b, gradientOfFirst("silu", gradients), node.inputs[0])],
  flops: (inputs, _outputs, attrs) => expansionFlops(siluOp, inputs, attrs),
  expand: (b, [x]) => [mul(b, x, sigmoid(b, x))],
};

export function silu(b: Builder, x: Value): Value {
  return b.apply(siluOp, [x], {})[0];
}
