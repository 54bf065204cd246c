/** max(x, 0). The derivative at 0 is taken as 0. */
import { unaryOperation } from "../elementwise.ts";
import type { Builder, Value } from "../graph.ts";
import { mul } from "./mul.ts";
import { positive } from "./positive.ts";

export const reluOp = unaryOperation("relu", (b, g, _x, y) => mul(b, g, positive(b, y)));

export function relu(b: Builder, x: Value): Value {
  return b.apply(reluOp, [x], {})[0];
}
