/**
 * The gradients of a root-mean-square normalisation from g [N, D], x [N, D], the gain [D] and the saved rrms [N]. With
 * x̂ = x·rrms and h = g·gain, averages over a row:
 *   dx = rrms · (h − x̂ · avg(h·x̂)),  dgain = Σ_rows g·x̂.
 * Only what is asked for is an output: dx [N, D] first, then dgain [D].
 */
import { expectCount, expectReal, expectShape, fail } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Type, Value } from "../graph.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { scale } from "./scale.ts";
import { sub } from "./sub.ts";

/** Which outputs there are. */
type Attrs = { readonly x: boolean; readonly gain: boolean };

export const rmsNormGradOp: Operation<Attrs> = {
  name: "rmsNormGrad",
  infer(inputs, attrs) {
    expectCount("rmsNormGrad", inputs, 4);
    const [g, x, gain, rrms] = inputs;
    expectReal("rmsNormGrad", "x", x, 2);
    const [rows, width] = x.shape;
    expectShape("rmsNormGrad", "g", g, [rows, width]);
    expectShape("rmsNormGrad", "the gain", gain, [width]);
    expectShape("rmsNormGrad", "rrms", rrms, [rows]);
    if (!attrs.x && !attrs.gain) fail("rmsNormGrad", "nothing is asked for");
    const outputs: Type[] = [];
    if (attrs.x) outputs.push({ dtype: "f32", shape: [rows, width] });
    if (attrs.gain) outputs.push({ dtype: "f32", shape: [width] });
    return outputs;
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(rmsNormGradOp, inputs, attrs),
  expand(b, [g, x, gain, rrms], attrs) {
    const [rows, width] = x.shape;
    const root = reshape(b, rrms, [rows, 1]);
    const normal = mul(b, x, root);
    const outputs: Value[] = [];
    if (attrs.x) {
      const h = mul(b, g, gain);
      const average = scale(b, reduceSum(b, mul(b, h, normal), [1], true), 1 / width);
      outputs.push(mul(b, sub(b, h, mul(b, normal, average)), root));
    }
    if (attrs.gain) outputs.push(reduceSum(b, mul(b, g, normal), [0]));
    return outputs;
  },
};

export function rmsNormGrad(
  b: Builder,
  inputs: { readonly g: Value; readonly x: Value; readonly gain: Value; readonly rrms: Value },
  wanted: { readonly x: boolean; readonly gain: boolean },
): { readonly dx: Value | null; readonly dgain: Value | null } {
  const { g, x, gain, rrms } = inputs;
  const outputs = b.apply(rmsNormGradOp, [g, x, gain, rrms], { x: wanted.x, gain: wanted.gain });
  return { dx: wanted.x ? outputs[0] : null, dgain: wanted.gain ? outputs[wanted.x ? 1 : 0] : null };
}
