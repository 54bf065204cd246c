/** The error function: its derivative is 2/√π · e^(−x²). */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { exp } from "./exp.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";
import { scale } from "./scale.ts";

export const erfOp = unaryOperation("erf", (b, g, x) =>
  mul(b, g, scale(b, exp(b, neg(b, mul(b, x, x))), 2 / Math.sqrt(Math.PI))),
);

export function erf(b: Builder, x: Value): Value {
  return b.apply(erfOp, [x], {})[0];
}
