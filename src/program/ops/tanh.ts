/** The hyperbolic tangent: its derivative is 1 − tanh². */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { mul } from "./mul.ts";
import { sub } from "./sub.ts";

export const tanhOp = unaryOperation("tanh", (b, g, _x, y) => sub(b, g, mul(b, g, mul(b, y, y))));

export function tanh(b: Builder, x: Value): Value {
  return b.apply(tanhOp, [x], {})[0];
}
