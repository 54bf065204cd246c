/** The sum over some axes. Without `keep` those axes are gone. */
import { gradientOfFirst } from "../check.ts";
import { type Builder, type Operation, size, type Value } from "../graph.ts";
import { ascending, inferReduction, type ReductionAttributes, reducedShape } from "../reduction.ts";
import { broadcastTo } from "./broadcastTo.ts";
import { reshape } from "./reshape.ts";

export const reduceSumOp: Operation<ReductionAttributes> = {
  name: "reduceSum",
  infer: (inputs, attrs) => inferReduction("reduceSum", inputs, attrs),
  gradient(b, node, gradients, { axes }) {
    const g = gradientOfFirst("reduceSum", gradients);
    const { shape } = node.inputs[0];
    // Leading axes that are gone come back by broadcasting alone.
    const leading = axes.every((axis, i) => axis === i);
    return [broadcastTo(b, leading ? g : reshape(b, g, reducedShape(shape, { axes, keep: true })), shape)];
  },
  flops: ([x]) => size(x.shape),
};

export function reduceSum(b: Builder, x: Value, axes: readonly number[], keep = false): Value {
  return axes.length === 0 ? x : b.apply(reduceSumOp, [x], { axes: ascending(axes), keep })[0];
}
