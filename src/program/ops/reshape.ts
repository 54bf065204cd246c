/** The same numbers in the same order under another shape. */
import { expectCount, fail, gradientOfFirst } from "../check.ts";
import { type Builder, type Operation, type Shape, sameShape, size, type Value } from "../graph.ts";

type Attrs = { readonly shape: readonly number[] };

export const reshapeOp: Operation<Attrs> = {
  name: "reshape",
  infer(inputs, { shape }) {
    expectCount("reshape", inputs, 1);
    const [x] = inputs;
    if (size(x.shape) !== size(shape)) fail("reshape", `[${x.shape}] does not fit [${shape}]`);
    return [{ dtype: x.dtype, shape }];
  },
  gradient: (b, node, gradients) => [reshape(b, gradientOfFirst("reshape", gradients), node.inputs[0].shape)],
  flops: () => 0,
};

export function reshape(b: Builder, x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : b.apply(reshapeOp, [x], { shape: [...shape] })[0];
}
