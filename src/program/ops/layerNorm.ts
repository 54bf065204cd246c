/**
 * Layer normalisation (Ba et al. 2016) of each row: x [N, D] → y = (x − mean) · rstd · gain + shift, with the rows'
 * means [N] and reciprocal standard deviations [N], 1/√(variance + eps), saved for the backward pass.
 */
import { expectCount, expectReal, expectShape, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { constant } from "./constant.ts";
import { layerNormGrad } from "./layerNormGrad.ts";
import { mul } from "./mul.ts";
import { recip } from "./recip.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { scale } from "./scale.ts";
import { sqrt } from "./sqrt.ts";
import { sub } from "./sub.ts";

type Attrs = { readonly eps: number };

export const layerNormOp: Operation<Attrs> = {
  name: "layerNorm",
  infer(inputs, { eps }) {
    expectCount("layerNorm", inputs, 3);
    const [x, gain, shift] = inputs;
    expectReal("layerNorm", "x", x, 2);
    const [rows, width] = x.shape;
    expectShape("layerNorm", "the gain", gain, [width]);
    expectShape("layerNorm", "the shift", shift, [width]);
    if (!(eps >= 0)) fail("layerNorm", `eps can't be ${eps}`);
    return [
      { dtype: "f32", shape: [rows, width] },
      { dtype: "f32", shape: [rows] },
      { dtype: "f32", shape: [rows] },
    ];
  },
  gradient(b, node, gradients, _attrs, wanted) {
    const g = gradientOfFirst("layerNorm", gradients);
    const [x, gain] = node.inputs;
    const [, mean, rstd] = node.outputs;
    const { dx, dgain, dshift } = layerNormGrad(
      b,
      { g, x, gain, mean, rstd },
      { x: wanted[0], affine: wanted[1] || wanted[2] },
    );
    return [dx, wanted[1] ? dgain : null, wanted[2] ? dshift : null];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(layerNormOp, inputs, attrs),
  expand(b, [x, gain, shift], { eps }) {
    const [rows, width] = x.shape;
    const average = (value: Value) => scale(b, reduceSum(b, value, [1], true), 1 / width);
    const mean = average(x);
    const centred = sub(b, x, mean);
    const variance = average(mul(b, centred, centred));
    const rstd = recip(b, sqrt(b, add(b, variance, constant(b, eps))));
    const y = add(b, mul(b, mul(b, centred, rstd), gain), shift);
    return [y, reshape(b, mean, [rows]), reshape(b, rstd, [rows])];
  },
};

export function layerNorm(
  b: Builder,
  x: Value,
  gain: Value,
  shift: Value,
  eps: number,
): { readonly y: Value; readonly mean: Value; readonly rstd: Value } {
  const [y, mean, rstd] = b.apply(layerNormOp, [x, gain, shift], { eps });
  return { y, mean, rstd };
}
