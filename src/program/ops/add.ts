/** x + y, with broadcasting. */
import { binaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";

export const addOp = binaryOperation(
  "add",
  (_b, g) => g,
  (_b, g) => g,
);

export function add(b: Builder, x: Value, y: Value): Value {
  return b.apply(addOp, [x, y], {})[0];
}
