/** e to the power x. */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { mul } from "./mul.ts";

export const expOp = unaryOperation("exp", (b, g, _x, y) => mul(b, g, y));

export function exp(b: Builder, x: Value): Value {
  return b.apply(expOp, [x], {})[0];
}
