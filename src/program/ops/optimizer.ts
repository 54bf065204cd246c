/** What a step does with the gradients. */
import type { Builder, NoAttributes, Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { reduceSum } from "./axes.ts";
import { add, div, exp, mul, scale, sqrt, sub, tanh } from "./elementwise.ts";
import { constant } from "./tables.ts";

/** The Euclidean norm of several tensors together, √ Σ g², a scalar: what gradient clipping looks at. */
export const globalNormOp = operation<NoAttributes>(
  "globalNorm",
  (inputs) => {
    const reals = inputs.length > 0 && inputs.every(({ dtype }) => dtype === "f32");
    return reals ? [{ dtype: "f32", shape: [] }] : "takes one tensor of f32 or several";
  },
  {
    expand(b, inputs) {
      const squares = inputs.map((g) => reduceSum(b, mul(b, g, g), [...g.shape.keys()]));
      const sum = squares.reduce((sum, square) => add(b, sum, square));
      return [sqrt(b, sum)];
    },
  },
);

export function globalNorm(b: Builder, gradients: readonly Value[]): Value {
  return b.apply(globalNormOp, gradients, {})[0];
}

export type AdamwSettings = {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled weight decay; 0 for none. */
  readonly decay: number;
};

export type AdamwInputs = Readonly<Record<"param" | "grad" | "m" | "v" | "steps" | "clip" | "rate", Value>>;

/**
 * One step of AdamW (Loshchilov and Hutter 2019; torch.optim.AdamW's formula) for one parameter:
 *   g = grad · clip,  t = steps + 1,  m' = β1·m + (1 − β1)·g,  v' = β2·v + (1 − β2)·g²,
 *   param' = param·(1 − rate·decay) − rate · (m' / (1 − β1^t)) / (√(v' / (1 − β2^t)) + eps).
 * Inputs: param, grad, m, v of one shape, then the scalars steps (so far), clip (a factor on the gradient) and rate.
 * Outputs: param', m', v', t.
 */
export const adamwOp = operation<AdamwSettings>(
  "adamw",
  takes("param [*], grad [*], m [*], v [*], steps [], clip [], rate [] -> [*], [*], [*], []", (_extents, settings) => {
    const { beta1, beta2, eps, decay } = settings;
    for (const beta of [beta1, beta2]) if (!(beta >= 0 && beta < 1)) return `a beta can't be ${beta}`;
    if (!(eps >= 0)) return `eps can't be ${eps}`;
    return !(decay >= 0) && `the decay can't be ${decay}`;
  }),
  {
    expand(b, [param, grad, m, v, steps, clip, rate], { beta1, beta2, eps, decay }) {
      const one = constant(b, 1);
      const t = add(b, steps, one);
      const g = mul(b, grad, clip);
      const mNext = add(b, scale(b, m, beta1), scale(b, g, 1 - beta1));
      const vNext = add(b, scale(b, v, beta2), scale(b, mul(b, g, g), 1 - beta2));
      const denominator = add(b, div(b, sqrt(b, vNext), sqrt(b, correction(b, t, beta2))), constant(b, eps));
      const step = mul(b, div(b, mNext, denominator), div(b, rate, correction(b, t, beta1)));
      const kept = decay === 0 ? param : mul(b, param, sub(b, one, scale(b, rate, decay)));
      return [sub(b, kept, step), mNext, vNext, t];
    },
  },
);

export function adamw(
  b: Builder,
  inputs: AdamwInputs,
  { beta1, beta2, eps, decay }: AdamwSettings,
): Readonly<Record<"param" | "m" | "v" | "steps", Value>> {
  const order = [inputs.param, inputs.grad, inputs.m, inputs.v, inputs.steps, inputs.clip, inputs.rate];
  const [param, m, v, steps] = b.apply(adamwOp, order, { beta1, beta2, eps, decay });
  return { param, m, v, steps };
}

/** 1 − β^t as (1 + β^t)·tanh(−½·t·ln β), which loses no digits in f32 where β^t is near 1. */
function correction(b: Builder, t: Value, beta: number): Value {
  if (beta === 0) return constant(b, 1);
  const power = exp(b, scale(b, t, Math.log(beta)));
  return mul(b, add(b, power, constant(b, 1)), tanh(b, scale(b, t, -0.5 * Math.log(beta))));
}
