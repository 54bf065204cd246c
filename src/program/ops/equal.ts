/** 1 where two index tensors are equal, else 0, as real numbers; with broadcasting. */
import { broadcastShape } from "../broadcast.ts";
import { expectCount, expectIndex } from "../check.ts";
import type { NoAttributes } from "../elementwise.ts";
import { type Builder, type Operation, size, type Value } from "../graph.ts";

export const equalOp: Operation<NoAttributes> = {
  name: "equal",
  infer(inputs) {
    expectCount("equal", inputs, 2);
    expectIndex("equal", "x", inputs[0]);
    expectIndex("equal", "y", inputs[1]);
    return [{ dtype: "f32", shape: broadcastShape("equal", inputs[0].shape, inputs[1].shape) }];
  },
  flops: (_inputs, [output]) => size(output.shape),
};

export function equal(b: Builder, x: Value, y: Value): Value {
  return b.apply(equalOp, [x, y], {})[0];
}
