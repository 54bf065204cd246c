/** The natural logarithm of x. */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { div } from "./div.ts";

export const logOp = unaryOperation("log", (b, g, x) => div(b, g, x));

export function log(b: Builder, x: Value): Value {
  return b.apply(logOp, [x], {})[0];
}
