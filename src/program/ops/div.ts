/** x / y, with broadcasting. */
import { binaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const divOp = binaryOperation(
  "div",
  (b, g, _x, y) => div(b, g, y),
  (b, g, _x, y, output) => neg(b, mul(b, g, div(b, output, y))),
);

export function div(b: Builder, x: Value, y: Value): Value {
  return b.apply(divOp, [x, y], {})[0];
}
