/** 1 where x > 0, else 0: the derivative of relu. Its own derivative is 0 wherever it exists, so no gradient passes. */
import { type NoAttributes, unaryOperation } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";

export const positiveOp: Operation<NoAttributes> = { ...unaryOperation("positive"), stops: true };

export function positive(b: Builder, x: Value): Value {
  return b.apply(positiveOp, [x], {})[0];
}
