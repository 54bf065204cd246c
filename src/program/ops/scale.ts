/** x times a number known when the program is built. */
import { expectCount, expectReal, fail, gradientOfFirst } from "../check.ts";
import { type Builder, type Operation, size, type Value } from "../graph.ts";

type Attrs = { readonly factor: number };

export const scaleOp: Operation<Attrs> = {
  name: "scale",
  infer(inputs, { factor }) {
    expectCount("scale", inputs, 1);
    expectReal("scale", "x", inputs[0]);
    if (!Number.isFinite(factor)) fail("scale", `the factor can't be ${factor}`);
    return [{ dtype: "f32", shape: inputs[0].shape }];
  },
  gradient: (b, _node, gradients, { factor }) => [scale(b, gradientOfFirst("scale", gradients), factor)],
  flops: (_inputs, [output]) => size(output.shape),
};

export function scale(b: Builder, x: Value, factor: number): Value {
  return factor === 1 ? x : b.apply(scaleOp, [x], { factor })[0];
}
