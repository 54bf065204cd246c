/**
 * The gradient of crossEntropy by the logits, from g [], the logits [N, V], their saved log Σ e^logits [N], labels and
 * weights: g · weight · (softmax − one-hot of the label).
 */
import { expectCount, expectIndex, expectReal, expectShape, fail } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { NoAttributes } from "../elementwise.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { exp } from "./exp.ts";
import { mul } from "./mul.ts";
import { oneHot } from "./oneHot.ts";
import { reshape } from "./reshape.ts";
import { sub } from "./sub.ts";

export const crossEntropyGradOp: Operation<NoAttributes> = {
  name: "crossEntropyGrad",
  infer(inputs) {
    expectCount("crossEntropyGrad", inputs, 5);
    const [g, logits, logsumexp, labels, weights] = inputs;
    expectReal("crossEntropyGrad", "logits", logits, 2);
    const rows = logits.shape[0];
    expectShape("crossEntropyGrad", "g", g, []);
    expectShape("crossEntropyGrad", "logsumexp", logsumexp, [rows]);
    expectIndex("crossEntropyGrad", "labels", labels, 1);
    if (labels.shape[0] !== rows) fail("crossEntropyGrad", `${labels.shape[0]} labels do not fit ${rows} rows`);
    expectShape("crossEntropyGrad", "weights", weights, [rows]);
    return [{ dtype: "f32", shape: logits.shape }];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(crossEntropyGradOp, inputs, attrs),
  expand(b, [g, logits, logsumexp, labels, weights]) {
    const [rows, classes] = logits.shape;
    const softmax = exp(b, sub(b, logits, reshape(b, logsumexp, [rows, 1])));
    const difference = sub(b, softmax, oneHot(b, labels, classes));
    return [mul(b, difference, reshape(b, mul(b, weights, g), [rows, 1]))];
  },
};

export function crossEntropyGrad(
  b: Builder,
  inputs: {
    readonly g: Value;
    readonly logits: Value;
    readonly logsumexp: Value;
    readonly labels: Value;
    readonly weights: Value;
  },
): Value {
  const { g, logits, logsumexp, labels, weights } = inputs;
  return b.apply(crossEntropyGradOp, [g, logits, logsumexp, labels, weights], {})[0];
}
