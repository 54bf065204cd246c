/** −x. */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";

export const negOp = unaryOperation("neg", (b, g) => neg(b, g));

export function neg(b: Builder, x: Value): Value {
  return b.apply(negOp, [x], {})[0];
}
