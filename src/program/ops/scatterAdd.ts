/**
 * The mirror image of gather: ids i32 [N], updates [N, D] → [rows, D], zero but for the updates, each added to its row.
 * With `groups` as gather has them. Repeated ids add up, in an order that depends on nothing but the ids, so that the same ids give the same bits.
 */
import { expectCount, expectGroups, expectIndex, expectReal, fail, gradientOfFirst } from "../check.ts";
import { type Builder, type Operation, size, type Value } from "../graph.ts";
import { gather } from "./gather.ts";

type Attrs = { readonly rows: number; readonly groups: number };

export const scatterAddOp: Operation<Attrs> = {
  name: "scatterAdd",
  infer(inputs, { rows, groups }) {
    expectCount("scatterAdd", inputs, 2);
    const [ids, updates] = inputs;
    expectIndex("scatterAdd", "ids", ids, 1);
    expectReal("scatterAdd", "updates", updates, 2);
    if (ids.shape[0] !== updates.shape[0]) {
      fail("scatterAdd", `${ids.shape[0]} ids do not fit ${updates.shape[0]} updates`);
    }
    expectGroups("scatterAdd", groups, rows, ids.shape[0]);
    return [{ dtype: "f32", shape: [rows, updates.shape[1]] }];
  },
  gradient: (b, node, gradients, { groups }) => [
    null,
    gather(b, gradientOfFirst("scatterAdd", gradients), node.inputs[0], groups),
  ],
  flops: ([, updates]) => size(updates.shape),
};

export function scatterAdd(b: Builder, ids: Value, updates: Value, rows: number, groups = 1): Value {
  return b.apply(scatterAddOp, [ids, updates], { rows, groups })[0];
}
