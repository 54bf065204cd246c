/** Zeros before and after the entries along one axis. */
import { expectAxis, expectCount, fail, gradientOfFirst } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { slice } from "./slice.ts";

type Attrs = { readonly axis: number; readonly before: number; readonly after: number };

export const padOp: Operation<Attrs> = {
  name: "pad",
  infer(inputs, { axis, before, after }) {
    expectCount("pad", inputs, 1);
    const [x] = inputs;
    expectAxis("pad", axis, x);
    if (!Number.isInteger(before) || !Number.isInteger(after) || before < 0 || after < 0) {
      fail("pad", `can't put ${before} before and ${after} after`);
    }
    return [{ dtype: x.dtype, shape: x.shape.map((extent, i) => (i === axis ? before + extent + after : extent)) }];
  },
  gradient(b, node, gradients, { axis, before }) {
    const extent = node.inputs[0].shape[axis];
    return [slice(b, gradientOfFirst("pad", gradients), axis, before, before + extent)];
  },
  flops: () => 0,
};

export function pad(b: Builder, x: Value, axis: number, before: number, after: number): Value {
  return before === 0 && after === 0 ? x : b.apply(padOp, [x], { axis, before, after })[0];
}
