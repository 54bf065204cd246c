/** x · y, with broadcasting. */
import { binaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";

export const mulOp = binaryOperation(
  "mul",
  (b, g, _x, y) => mul(b, g, y),
  (b, g, x) => mul(b, g, x),
);

export function mul(b: Builder, x: Value, y: Value): Value {
  return b.apply(mulOp, [x, y], {})[0];
}
