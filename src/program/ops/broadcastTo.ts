/** x repeated to a larger shape, by the rules of broadcasting. */
import { broadcastShape, unbroadcast } from "../broadcast.ts";
import { expectCount, fail, gradientOfFirst } from "../check.ts";
import { type Builder, type Operation, type Shape, sameShape, type Value } from "../graph.ts";

type Attrs = { readonly shape: readonly number[] };

export const broadcastToOp: Operation<Attrs> = {
  name: "broadcastTo",
  infer(inputs, { shape }) {
    expectCount("broadcastTo", inputs, 1);
    const [x] = inputs;
    if (!sameShape(broadcastShape("broadcastTo", x.shape, shape), shape)) {
      fail("broadcastTo", `[${x.shape}] can't be repeated to [${shape}]`);
    }
    return [{ dtype: x.dtype, shape }];
  },
  gradient: (b, node, gradients) => [unbroadcast(b, gradientOfFirst("broadcastTo", gradients), node.inputs[0].shape)],
  flops: () => 0,
};

export function broadcastTo(b: Builder, x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : b.apply(broadcastToOp, [x], { shape: [...shape] })[0];
}
