/** x itself, through which differentiation does not go. */
import { type NoAttributes, unaryOperation } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";

export const stopGradientOp: Operation<NoAttributes> = {
  ...unaryOperation("stopGradient"),
  stops: true,
  flops: () => 0,
};

export function stopGradient(b: Builder, x: Value): Value {
  return b.apply(stopGradientOp, [x], {})[0];
}
