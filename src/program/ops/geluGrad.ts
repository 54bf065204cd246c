/**
 * The gradient of gelu from g and x: g · (Φ(x) + x·Φ′(x)), with Φ in the form that gelu took.
 */
import { expectCount, expectReal, expectShape } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { constant } from "./constant.ts";
import { erf } from "./erf.ts";
import { exp } from "./exp.ts";
import { type GeluForm, geluTanhArgument } from "./gelu.ts";
import { mul } from "./mul.ts";
import { scale } from "./scale.ts";
import { sub } from "./sub.ts";
import { tanh } from "./tanh.ts";

type Attrs = { readonly form: GeluForm };

export const geluGradOp: Operation<Attrs> = {
  name: "geluGrad",
  infer(inputs) {
    expectCount("geluGrad", inputs, 2);
    const [g, x] = inputs;
    expectReal("geluGrad", "x", x);
    expectShape("geluGrad", "g", g, x.shape);
    return [{ dtype: "f32", shape: x.shape }];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(geluGradOp, inputs, attrs),
  expand(b, [g, x], { form }) {
    const square = mul(b, x, x);
    const one = constant(b, 1);
    if (form === "erf") {
      const cumulative = scale(b, add(b, erf(b, scale(b, x, Math.SQRT1_2)), one), 0.5);
      const density = scale(b, exp(b, scale(b, square, -0.5)), 1 / Math.sqrt(2 * Math.PI));
      return [mul(b, g, add(b, cumulative, mul(b, x, density)))];
    }
    // With t = tanh(u): ½(1 + t) + ½x(1 − t²)u′, u′ = √(2/π)(1 + 3 · 0.044715x²).
    const factor = Math.sqrt(2 / Math.PI);
    const t = tanh(b, geluTanhArgument(b, x, square));
    const slope = add(b, scale(b, square, 3 * 0.044715 * factor), constant(b, factor));
    const tail = mul(b, mul(b, x, sub(b, one, mul(b, t, t))), slope);
    return [mul(b, g, scale(b, add(b, add(b, t, one), tail), 0.5))];
  },
};

export function geluGrad(b: Builder, g: Value, x: Value, form: GeluForm): Value {
  return b.apply(geluGradOp, [g, x], { form })[0];
}
