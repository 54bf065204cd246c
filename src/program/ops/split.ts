/** Equal parts along one axis. What reads them reads one tensor, so an engine need copy nothing. */
import { expectAxis, expectCount, fail } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { concat } from "./concat.ts";
import { constant } from "./constant.ts";
import { slice } from "./slice.ts";

type Attrs = { readonly axis: number; readonly parts: number };

export const splitOp: Operation<Attrs> = {
  name: "split",
  infer(inputs, { axis, parts }) {
    expectCount("split", inputs, 1);
    const [x] = inputs;
    expectAxis("split", axis, x);
    if (!Number.isInteger(parts) || parts < 1 || x.shape[axis] % parts !== 0) {
      fail("split", `[${x.shape}] has no ${parts} equal parts along axis ${axis}`);
    }
    const shape = x.shape.map((extent, i) => (i === axis ? extent / parts : extent));
    return Array.from({ length: parts }, () => ({ dtype: x.dtype, shape }));
  },
  // One tensor again, not a sum of padded ones: that would be a pass over all of it for each part.
  gradient(b, node, gradients, { axis }) {
    const pieces = gradients.map((gradient, i) => gradient ?? constant(b, 0, node.outputs[i].shape));
    return [concat(b, pieces, axis)];
  },
  flops: () => 0,
  expand(b, [x], { axis, parts }) {
    const extent = x.shape[axis] / parts;
    return Array.from({ length: parts }, (_, i) => slice(b, x, axis, i * extent, (i + 1) * extent));
  },
};

export function split(b: Builder, x: Value, axis: number, parts: number): readonly Value[] {
  return parts === 1 ? [x] : b.apply(splitOp, [x], { axis, parts });
}
