/**
 * The squared rectified linear unit (So et al., Primer, 2021): max(x, 0)², elementwise.
 * `npx vitest run test/program/example.test.ts` runs it.
 */
import { expectCount, expectReal, gradientOfFirst } from "../../src/program/check.ts";
import { expansionFlops } from "../../src/program/composite.ts";
import type { NoAttributes } from "../../src/program/elementwise.ts";
import type { Builder, Operation, Value } from "../../src/program/graph.ts";
import { mul, relu, scale } from "../../src/program/ops/index.ts";

export const squaredReluOp: Operation<NoAttributes> = {
  name: "squaredRelu",
  infer(inputs) {
    expectCount("squaredRelu", inputs, 1);
    expectReal("squaredRelu", "x", inputs[0]);
    return [{ dtype: "f32", shape: inputs[0].shape }];
  },
  // 2 · max(x, 0): there is no kink at 0.
  gradient(b, node, gradients) {
    const g = gradientOfFirst("squaredRelu", gradients);
    return [mul(b, g, scale(b, relu(b, node.inputs[0]), 2))];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(squaredReluOp, inputs, attrs),
  expand(b, [x]) {
    const positive = relu(b, x);
    return [mul(b, positive, positive)];
  },
};

export function squaredRelu(b: Builder, x: Value): Value {
  return b.apply(squaredReluOp, [x], {})[0];
}
