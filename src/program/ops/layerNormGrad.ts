/**
 * The gradients of a layer normalisation from g [N, D], x [N, D], the gain [D] and the saved mean and rstd [N].
 * With x̂ = (x − mean)·rstd and h = g·gain, averages over a row:
 *   dx = rstd · (h − avg(h) − x̂ · avg(h·x̂)),  dgain = Σ_rows g·x̂,  dshift = Σ_rows g.
 * Only what is asked for is an output: dx [N, D] first, then dgain and dshift [D].
 */
import { expectCount, expectReal, expectShape, fail } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Type, Value } from "../graph.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { scale } from "./scale.ts";
import { sub } from "./sub.ts";

/** Which outputs there are: dx, and dgain with dshift. */
type Attrs = { readonly x: boolean; readonly affine: boolean };

export const layerNormGradOp: Operation<Attrs> = {
  name: "layerNormGrad",
  infer(inputs, attrs) {
    expectCount("layerNormGrad", inputs, 5);
    const [g, x, gain, mean, rstd] = inputs;
    expectReal("layerNormGrad", "x", x, 2);
    const [rows, width] = x.shape;
    expectShape("layerNormGrad", "g", g, [rows, width]);
    expectShape("layerNormGrad", "the gain", gain, [width]);
    expectShape("layerNormGrad", "the mean", mean, [rows]);
    expectShape("layerNormGrad", "rstd", rstd, [rows]);
    if (!attrs.x && !attrs.affine) fail("layerNormGrad", "nothing is asked for");
    const outputs: Type[] = [];
    if (attrs.x) outputs.push({ dtype: "f32", shape: [rows, width] });
    if (attrs.affine) outputs.push({ dtype: "f32", shape: [width] }, { dtype: "f32", shape: [width] });
    return outputs;
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(layerNormGradOp, inputs, attrs),
  expand(b, [g, x, gain, mean, rstd], attrs) {
    const [rows, width] = x.shape;
    const column = (value: Value) => reshape(b, value, [rows, 1]);
    const normal = mul(b, sub(b, x, column(mean)), column(rstd));
    const outputs: Value[] = [];
    if (attrs.x) {
      const h = mul(b, g, gain);
      const average = (value: Value) => scale(b, reduceSum(b, value, [1], true), 1 / width);
      const inner = sub(b, sub(b, h, average(h)), mul(b, normal, average(mul(b, h, normal))));
      outputs.push(mul(b, inner, column(rstd)));
    }
    if (attrs.affine) outputs.push(reduceSum(b, mul(b, g, normal), [0]), reduceSum(b, g, [0]));
    return outputs;
  },
};

export function layerNormGrad(
  b: Builder,
  inputs: {
    readonly g: Value;
    readonly x: Value;
    readonly gain: Value;
    readonly mean: Value;
    readonly rstd: Value;
  },
  wanted: { readonly x: boolean; readonly affine: boolean },
): { readonly dx: Value | null; readonly dgain: Value | null; readonly dshift: Value | null } {
  const { g, x, gain, mean, rstd } = inputs;
  const outputs = b.apply(layerNormGradOp, [g, x, gain, mean, rstd], { x: wanted.x, affine: wanted.affine });
  const affine = outputs.slice(wanted.x ? 1 : 0);
  return { dx: wanted.x ? outputs[0] : null, dgain: affine[0] ?? null, dshift: affine[1] ?? null };
}
