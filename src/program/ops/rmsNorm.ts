/**
 * Root-mean-square normalisation (Zhang and Sennrich 2019) of each row: x [N, D] → y = x · rrms · gain, with the rows'
 * reciprocal roots [N], 1/√(mean(x²) + eps), saved for the backward pass. Llama's norm.
 */
import { expectCount, expectReal, expectShape, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { constant } from "./constant.ts";
import { mul } from "./mul.ts";
import { recip } from "./recip.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { rmsNormGrad } from "./rmsNormGrad.ts";
import { scale } from "./scale.ts";
import { sqrt } from "./sqrt.ts";

type Attrs = { readonly eps: number };

export const rmsNormOp: Operation<Attrs> = {
  name: "rmsNorm",
  infer(inputs, { eps }) {
    expectCount("rmsNorm", inputs, 2);
    const [x, gain] = inputs;
    expectReal("rmsNorm", "x", x, 2);
    const [rows, width] = x.shape;
    expectShape("rmsNorm", "the gain", gain, [width]);
    if (!(eps >= 0)) fail("rmsNorm", `eps can't be ${eps}`);
    return [
      { dtype: "f32", shape: [rows, width] },
      { dtype: "f32", shape: [rows] },
    ];
  },
  gradient(b, node, gradients, _attrs, wanted) {
    const g = gradientOfFirst("rmsNorm", gradients);
    const [x, gain] = node.inputs;
    const { dx, dgain } = rmsNormGrad(b, { g, x, gain, rrms: node.outputs[1] }, { x: wanted[0], gain: wanted[1] });
    return [dx, dgain];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(rmsNormOp, inputs, attrs),
  expand(b, [x, gain], { eps }) {
    const [rows, width] = x.shape;
    const square = scale(b, reduceSum(b, mul(b, x, x), [1], true), 1 / width);
    const rrms = recip(b, sqrt(b, add(b, square, constant(b, eps))));
    return [mul(b, mul(b, x, rrms), gain), reshape(b, rrms, [rows])];
  },
};

export function rmsNorm(b: Builder, x: Value, gain: Value, eps: number): { readonly y: Value; readonly rrms: Value } {
  const [y, rrms] = b.apply(rmsNormOp, [x, gain], { eps });
  return { y, rrms };
}
