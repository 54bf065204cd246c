/** 1 / x: its derivative is −1/x². */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const recipOp = unaryOperation("recip", (b, g, _x, y) => neg(b, mul(b, g, mul(b, y, y))));

export function recip(b: Builder, x: Value): Value {
  return b.apply(recipOp, [x], {})[0];
}
