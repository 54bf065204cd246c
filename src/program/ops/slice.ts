/** The entries from `start` up to, not including, `end` along one axis. */
import { expectAxis, expectCount, fail, gradientOfFirst } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { pad } from "./pad.ts";

type Attrs = { readonly axis: number; readonly start: number; readonly end: number };

export const sliceOp: Operation<Attrs> = {
  name: "slice",
  infer(inputs, { axis, start, end }) {
    expectCount("slice", inputs, 1);
    const [x] = inputs;
    expectAxis("slice", axis, x);
    if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end <= start || end > x.shape[axis]) {
      fail("slice", `[${x.shape}] has no entries ${start} to ${end} along axis ${axis}`);
    }
    return [{ dtype: x.dtype, shape: x.shape.map((extent, i) => (i === axis ? end - start : extent)) }];
  },
  gradient(b, node, gradients, { axis, start, end }) {
    const extent = node.inputs[0].shape[axis];
    return [pad(b, gradientOfFirst("slice", gradients), axis, start, extent - end)];
  },
  flops: () => 0,
};

export function slice(b: Builder, x: Value, axis: number, start: number, end: number): Value {
  return start === 0 && end === x.shape[axis] ? x : b.apply(sliceOp, [x], { axis, start, end })[0];
}
