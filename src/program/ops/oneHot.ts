/** For each id a row of zeros with a one at the id: i32 [N] → [N, depth]. */
import { expectCount, expectIndex } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";

type Attrs = { readonly depth: number };

export const oneHotOp: Operation<Attrs> = {
  name: "oneHot",
  infer(inputs, { depth }) {
    expectCount("oneHot", inputs, 1);
    expectIndex("oneHot", "ids", inputs[0], 1);
    return [{ dtype: "f32", shape: [inputs[0].shape[0], depth] }];
  },
  flops: () => 0,
};

export function oneHot(b: Builder, ids: Value, depth: number): Value {
  return b.apply(oneHotOp, [ids], { depth })[0];
}
