/** x − y, with broadcasting. */
import { unbroadcast } from "../broadcast.ts";
import { gradientOfFirst } from "../check.ts";
import { binaryOperation, type NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { neg } from "./neg.ts";

export const subOp: Operation<NoAttributes> = {
  ...binaryOperation(
    "sub",
    (_b, g) => g,
    (b, g) => neg(b, g),
  ),
  // As the binary operation's own, but summed first and negated afterwards, when it is small.
  gradient(b, node, gradients, _attrs, wanted) {
    const g = gradientOfFirst("sub", gradients);
    const [x, y] = node.inputs;
    return [wanted[0] ? unbroadcast(b, g, x.shape) : null, wanted[1] ? neg(b, unbroadcast(b, g, y.shape)) : null];
  },
};

export function sub(b: Builder, x: Value, y: Value): Value {
  return b.apply(subOp, [x, y], {})[0];
}
