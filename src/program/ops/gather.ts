/** Rows of a table by their numbers: table [V, D], ids i32 [N] → [N, D]. An id outside 0 … V − 1 is an error when run. */
import { expectCount, expectIndex, expectReal, gradientOfFirst } from "../check.ts";
import type { NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { scatterAdd } from "./scatterAdd.ts";

export const gatherOp: Operation<NoAttributes> = {
  name: "gather",
  infer(inputs) {
    expectCount("gather", inputs, 2);
    const [table, ids] = inputs;
    expectReal("gather", "the table", table, 2);
    expectIndex("gather", "ids", ids, 1);
    return [{ dtype: "f32", shape: [ids.shape[0], table.shape[1]] }];
  },
  gradient(b, node, gradients) {
    const [table, ids] = node.inputs;
    return [scatterAdd(b, ids, gradientOfFirst("gather", gradients), table.shape[0]), null];
  },
  flops: () => 0,
};

export function gather(b: Builder, table: Value, ids: Value): Value {
  return b.apply(gatherOp, [table, ids], {})[0];
}
