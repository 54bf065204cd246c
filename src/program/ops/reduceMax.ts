/** The largest entry over some axes. Without `keep` those axes are gone. Not differentiable. */
import { type Builder, type Operation, size, type Value } from "../graph.ts";
import { ascending, inferReduction, type ReductionAttributes } from "../reduction.ts";

export const reduceMaxOp: Operation<ReductionAttributes> = {
  name: "reduceMax",
  infer: (inputs, attrs) => inferReduction("reduceMax", inputs, attrs),
  flops: ([x]) => size(x.shape),
};

export function reduceMax(b: Builder, x: Value, axes: readonly number[], keep = false): Value {
  return axes.length === 0 ? x : b.apply(reduceMaxOp, [x], { axes: ascending(axes), keep })[0];
}
