/**
 * The squared rectified linear unit (So et al., Primer, 2021): max(x, 0)², elementwise.
 * `npx vitest run test/program/example.test.ts` runs it.
 */
import type { Builder, NoAttributes, Value } from "../../src/program/graph.ts";
import { operation, takes } from "../../src/program/operation.ts";
import { mul, relu, scale } from "../../src/program/ops/index.ts";

export const squaredReluOp = operation<NoAttributes>("squaredRelu", takes("x [*] -> [*]"), {
  // 2 · max(x, 0): there is no kink at 0.
  gradient: (b, [g], { inputs: [x] }) => [mul(b, g, scale(b, relu(b, x), 2))],
  expand(b, [x]) {
    const positive = relu(b, x);
    return [mul(b, positive, positive)];
  },
});

export function squaredRelu(b: Builder, x: Value): Value {
  return b.apply(squaredReluOp, [x], {})[0];
}
