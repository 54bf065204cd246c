/** Tensors side by side along one axis. */
import { expectAxis, expectCount, fail, gradientOfFirst } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { slice } from "./slice.ts";

type Attrs = { readonly axis: number };

export const concatOp: Operation<Attrs> = {
  name: "concat",
  infer(inputs, { axis }) {
    expectCount("concat", inputs, 1, Number.POSITIVE_INFINITY);
    const [first] = inputs;
    expectAxis("concat", axis, first);
    for (const { dtype, shape } of inputs) {
      const fits = shape.length === first.shape.length && shape.every((n, i) => i === axis || n === first.shape[i]);
      if (!fits || dtype !== first.dtype) {
        fail("concat", `[${first.shape}] and [${shape}] do not fit side by side along axis ${axis}`);
      }
    }
    const total = inputs.reduce((sum, { shape }) => sum + shape[axis], 0);
    return [{ dtype: first.dtype, shape: first.shape.map((extent, i) => (i === axis ? total : extent)) }];
  },
  gradient(b, node, gradients, { axis }, wanted) {
    const g = gradientOfFirst("concat", gradients);
    let start = 0;
    return node.inputs.map(({ shape }, i) => {
      const end = start + shape[axis];
      const piece = wanted[i] ? slice(b, g, axis, start, end) : null;
      start = end;
      return piece;
    });
  },
  flops: () => 0,
};

export function concat(b: Builder, xs: readonly Value[], axis: number): Value {
  return xs.length === 1 ? xs[0] : b.apply(concatOp, xs, { axis })[0];
}
