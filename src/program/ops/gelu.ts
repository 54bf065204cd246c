/**
 * The Gaussian error linear unit (Hendrycks and Gimpel 2016), x·Φ(x): `erf` exactly, ½x(1 + erf(x/√2)); `tanh` by its
 * approximation ½x(1 + tanh(√(2/π)(x + 0.044715x³))), transformers' gelu_new and gelu_pytorch_tanh.
 */
import { expectCount, expectReal, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { constant } from "./constant.ts";
import { erf } from "./erf.ts";
import { geluGrad } from "./geluGrad.ts";
import { mul } from "./mul.ts";
import { scale } from "./scale.ts";
import { tanh } from "./tanh.ts";

export type GeluForm = "erf" | "tanh";
type Attrs = { readonly form: GeluForm };

export const geluOp: Operation<Attrs> = {
  name: "gelu",
  infer(inputs, { form }) {
    expectCount("gelu", inputs, 1);
    expectReal("gelu", "x", inputs[0]);
    if (form !== "erf" && form !== "tanh") fail("gelu", `there is no form ${form}`);
    return [{ dtype: "f32", shape: inputs[0].shape }];
  },
  gradient: (b, node, gradients, { form }) => [geluGrad(b, gradientOfFirst("gelu", gradients), node.inputs[0], form)],
  flops: (inputs, _outputs, attrs) => expansionFlops(geluOp, inputs, attrs),
  expand(b, [x], { form }) {
    const inner = form === "erf" ? erf(b, scale(b, x, Math.SQRT1_2)) : tanh(b, geluTanhArgument(b, x, mul(b, x, x)));
    return [mul(b, scale(b, x, 0.5), add(b, inner, constant(b, 1)))];
  },
};

/** √(2/π)(x + 0.044715x³), from x and its square. */
export function geluTanhArgument(b: Builder, x: Value, square: Value): Value {
  const factor = Math.sqrt(2 / Math.PI);
  return mul(b, x, add(b, scale(b, square, factor * 0.044715), constant(b, factor)));
}

export function gelu(b: Builder, x: Value, form: GeluForm): Value {
  return b.apply(geluOp, [x], { form })[0];
}
