/**
 * Rows of a table by their numbers: table [V, D], ids i32 [N] → [N, D]. An id outside 0 … V − 1 is an error when run.
 * With `groups` the table and the ids are so many side by side, and the ids of each lie in its part of the table: what is
 * split among devices by groups then needs nothing of another. An engine need not make use of it.
 */
import { expectCount, expectGroups, expectIndex, expectReal, gradientOfFirst } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { scatterAdd } from "./scatterAdd.ts";

type Attrs = { readonly groups: number };

export const gatherOp: Operation<Attrs> = {
  name: "gather",
  infer(inputs, { groups }) {
    expectCount("gather", inputs, 2);
    const [table, ids] = inputs;
    expectReal("gather", "the table", table, 2);
    expectIndex("gather", "ids", ids, 1);
    expectGroups("gather", groups, table.shape[0], ids.shape[0]);
    return [{ dtype: "f32", shape: [ids.shape[0], table.shape[1]] }];
  },
  gradient(b, node, gradients, { groups }) {
    const [table, ids] = node.inputs;
    return [scatterAdd(b, ids, gradientOfFirst("gather", gradients), table.shape[0], groups), null];
  },
  flops: () => 0,
};

export function gather(b: Builder, table: Value, ids: Value, groups = 1): Value {
  return b.apply(gatherOp, [table, ids], { groups })[0];
}
