/**
 * One step of AdamW (Loshchilov and Hutter 2019; torch.optim.AdamW's formula) for one parameter:
 *   g = grad · clip,  t = steps + 1,  m' = β1·m + (1 − β1)·g,  v' = β2·v + (1 − β2)·g²,
 *   param' = param·(1 − rate·decay) − rate · (m' / (1 − β1^t)) / (√(v' / (1 − β2^t)) + eps).
 * Inputs: param, grad, m, v of one shape, then the scalars steps (so far), clip (a factor on the gradient) and rate.
 * Outputs: param', m', v', t.
 */
import { expectCount, expectReal, expectShape, fail } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { constant } from "./constant.ts";
import { div } from "./div.ts";
import { exp } from "./exp.ts";
import { mul } from "./mul.ts";
import { scale } from "./scale.ts";
import { sqrt } from "./sqrt.ts";
import { sub } from "./sub.ts";
import { tanh } from "./tanh.ts";

export type AdamwSettings = {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled weight decay; 0 for none. */
  readonly decay: number;
};

export type AdamwInputs = {
  readonly param: Value;
  readonly grad: Value;
  readonly m: Value;
  readonly v: Value;
  readonly steps: Value;
  readonly clip: Value;
  readonly rate: Value;
};

export const adamwOp: Operation<AdamwSettings> = {
  name: "adamw",
  infer(inputs, { beta1, beta2, eps, decay }) {
    expectCount("adamw", inputs, 7);
    const [param, grad, m, v, steps, clip, rate] = inputs;
    expectReal("adamw", "param", param);
    expectShape("adamw", "grad", grad, param.shape);
    expectShape("adamw", "m", m, param.shape);
    expectShape("adamw", "v", v, param.shape);
    expectShape("adamw", "steps", steps, []);
    expectShape("adamw", "clip", clip, []);
    expectShape("adamw", "rate", rate, []);
    for (const beta of [beta1, beta2]) if (!(beta >= 0 && beta < 1)) fail("adamw", `a beta can't be ${beta}`);
    if (!(eps >= 0)) fail("adamw", `eps can't be ${eps}`);
    if (!(decay >= 0)) fail("adamw", `the decay can't be ${decay}`);
    return [param, m, v, steps].map(({ shape }) => ({ dtype: "f32", shape }));
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(adamwOp, inputs, attrs),
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
};

export function adamw(
  b: Builder,
  inputs: AdamwInputs,
  settings: AdamwSettings,
): { readonly param: Value; readonly m: Value; readonly v: Value; readonly steps: Value } {
  const { beta1, beta2, eps, decay } = settings;
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
