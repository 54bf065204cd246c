/** The Euclidean norm of several tensors together, √ Σ g², a scalar: what gradient clipping looks at. */
import { expectCount, expectReal } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduceSum.ts";
import { sqrt } from "./sqrt.ts";

export const globalNormOp: Operation<NoAttributes> = {
  name: "globalNorm",
  infer(inputs) {
    expectCount("globalNorm", inputs, 1, Number.POSITIVE_INFINITY);
    inputs.forEach((type, i) => {
      expectReal("globalNorm", `tensor ${i}`, type);
    });
    return [{ dtype: "f32", shape: [] }];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(globalNormOp, inputs, attrs),
  expand(b, inputs) {
    const squares = inputs.map((g) => reduceSum(b, mul(b, g, g), [...g.shape.keys()]));
    return [
      sqrt(
        b,
        squares.reduce((sum, square) => add(b, sum, square)),
      ),
    ];
  },
};

export function globalNorm(b: Builder, gradients: readonly Value[]): Value {
  return b.apply(globalNormOp, gradients, {})[0];
}
