/**
 * The weighted sum of the cross-entropies of rows of logits: logits [N, V], labels i32 [N], weights [N] →
 * loss [] = Σ weight · (log Σ e^logits − logit of the label), in nats, and the rows' log Σ e^logits [N], saved for the
 * backward pass. A row of weight 0 counts nothing, whatever its label (which must still be one). Weights and labels are
 * not differentiable.
 */
import { expectCount, expectIndex, expectReal, expectShape, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { crossEntropyGrad } from "./crossEntropyGrad.ts";
import { exp } from "./exp.ts";
import { log } from "./log.ts";
import { mul } from "./mul.ts";
import { oneHot } from "./oneHot.ts";
import { reduceMax } from "./reduceMax.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { sub } from "./sub.ts";

export const crossEntropyOp: Operation<NoAttributes> = {
  name: "crossEntropy",
  infer(inputs) {
    expectCount("crossEntropy", inputs, 3);
    const [logits, labels, weights] = inputs;
    expectReal("crossEntropy", "logits", logits, 2);
    expectIndex("crossEntropy", "labels", labels, 1);
    const rows = logits.shape[0];
    if (labels.shape[0] !== rows) fail("crossEntropy", `${labels.shape[0]} labels do not fit ${rows} rows`);
    expectShape("crossEntropy", "weights", weights, [rows]);
    return [
      { dtype: "f32", shape: [] },
      { dtype: "f32", shape: [rows] },
    ];
  },
  gradient(b, node, gradients, _attrs, wanted) {
    if (wanted[2]) fail("crossEntropy", "its weights are not differentiable");
    const g = gradientOfFirst("crossEntropy", gradients);
    const [logits, labels, weights] = node.inputs;
    return [crossEntropyGrad(b, { g, logits, logsumexp: node.outputs[1], labels, weights }), null, null];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(crossEntropyOp, inputs, attrs),
  expand(b, [logits, labels, weights]) {
    const [rows, classes] = logits.shape;
    const largest = reduceMax(b, logits, [1], true);
    const sums = reduceSum(b, exp(b, sub(b, logits, largest)), [1]);
    const logsumexp = add(b, log(b, sums), reshape(b, largest, [rows]));
    const chosen = reduceSum(b, mul(b, logits, oneHot(b, labels, classes)), [1]);
    return [reduceSum(b, mul(b, weights, sub(b, logsumexp, chosen)), [0]), logsumexp];
  },
};

export function crossEntropy(
  b: Builder,
  logits: Value,
  labels: Value,
  weights: Value,
): { readonly loss: Value; readonly logsumexp: Value } {
  const [loss, logsumexp] = b.apply(crossEntropyOp, [logits, labels, weights], {});
  return { loss, logsumexp };
}
