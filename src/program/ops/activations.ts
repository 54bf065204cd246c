/** Activations, elementwise, each with its gradient. */
import type { Builder, NoAttributes, Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { add, erf, exp, mul, scale, sub, tanh } from "./elementwise.ts";
import { constant } from "./tables.ts";

export type GeluForm = "erf" | "tanh";
type Form = { readonly form: GeluForm };

/**
 * The Gaussian error linear unit (Hendrycks and Gimpel 2016), x·Φ(x): `erf` exactly, ½x(1 + erf(x/√2)); `tanh` by its
 * approximation ½x(1 + tanh(√(2/π)(x + 0.044715x³))), transformers' gelu_new and gelu_pytorch_tanh.
 */
export const geluOp = operation<Form>("gelu", takes("x [*] -> [*]"), {
  gradient: (b, [g], { inputs: [x], attrs: { form } }) => b.apply(geluGradOp, [g, x], { form }),
  expand(b, [x], { form }) {
    const inner = form === "erf" ? erf(b, scale(b, x, Math.SQRT1_2)) : tanh(b, geluTanhArgument(b, x, mul(b, x, x)));
    return [mul(b, scale(b, x, 0.5), add(b, inner, constant(b, 1)))];
  },
});

export function gelu(b: Builder, x: Value, form: GeluForm): Value {
  return b.apply(geluOp, [x], { form })[0];
}

/** √(2/π)(x + 0.044715x³), from x and its square. */
function geluTanhArgument(b: Builder, x: Value, square: Value): Value {
  const factor = Math.sqrt(2 / Math.PI);
  return mul(b, x, add(b, scale(b, square, factor * 0.044715), constant(b, factor)));
}

/** From g and x: g · (Φ(x) + x·Φ′(x)), with Φ in the form that gelu took. */
export const geluGradOp = operation<Form>("geluGrad", takes("g [*], x [*] -> [*]"), {
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
});

/** The sigmoid-weighted linear unit (Elfwing et al. 2018): x·σ(x) = x / (1 + e^(−x)). Llama's activation. */
export const siluOp = operation<NoAttributes>("silu", takes("x [*] -> [*]"), {
  gradient: (b, [g], { inputs: [x] }) => b.apply(siluGradOp, [g, x], {}),
  expand: (b, [x]) => [mul(b, x, sigmoid(b, x))],
});

export function silu(b: Builder, x: Value): Value {
  return b.apply(siluOp, [x], {})[0];
}

/** From g and x: g · σ(x) · (1 + x·(1 − σ(x))). */
export const siluGradOp = operation<NoAttributes>("siluGrad", takes("g [*], x [*] -> [*]"), {
  expand(b, [g, x]) {
    const share = sigmoid(b, x);
    const one = constant(b, 1);
    return [mul(b, g, mul(b, share, add(b, mul(b, x, sub(b, one, share)), one)))];
  },
});

/** σ(x) as ½(1 + tanh(x/2)): finite wherever x is. */
function sigmoid(b: Builder, x: Value): Value {
  return scale(b, add(b, tanh(b, scale(b, x, 0.5)), constant(b, 1)), 0.5);
}
