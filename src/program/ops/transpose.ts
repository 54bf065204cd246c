/** Axes in another order: axis i of the result is axis perm[i] of x. */
import { expectCount, fail, gradientOfFirst } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";

type Attrs = { readonly perm: readonly number[] };

export const transposeOp: Operation<Attrs> = {
  name: "transpose",
  infer(inputs, { perm }) {
    expectCount("transpose", inputs, 1);
    const [x] = inputs;
    const sorted = [...perm].sort((p, q) => p - q);
    if (perm.length !== x.shape.length || sorted.some((axis, i) => axis !== i)) {
      fail("transpose", `[${perm}] is no order of the axes of [${x.shape}]`);
    }
    return [{ dtype: x.dtype, shape: perm.map((axis) => x.shape[axis]) }];
  },
  gradient(b, _node, gradients, { perm }) {
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    return [transpose(b, gradientOfFirst("transpose", gradients), inverse)];
  },
  flops: () => 0,
};

export function transpose(b: Builder, x: Value, perm: readonly number[]): Value {
  const identity = perm.length === x.shape.length && perm.every((axis, i) => axis === i);
  return identity ? x : b.apply(transposeOp, [x], { perm: [...perm] })[0];
}
