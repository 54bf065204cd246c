/** The square root of x: d√x = 1 / (2√x). */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { div } from "./div.ts";
import { scale } from "./scale.ts";

export const sqrtOp = unaryOperation("sqrt", (b, g, _x, y) => div(b, scale(b, g, 0.5), y));

export function sqrt(b: Builder, x: Value): Value {
  return b.apply(sqrtOp, [x], {})[0];
}
