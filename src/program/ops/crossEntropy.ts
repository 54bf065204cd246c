/** The loss: cross-entropies of rows of logits, and their gradient. */
import type { Builder, NoAttributes, Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { reduceMax, reduceSum, reshape } from "./axes.ts";
import { add, exp, log, mul, sub } from "./elementwise.ts";
import { oneHot } from "./tables.ts";

/**
 * The weighted sum of the cross-entropies of rows of logits: logits [N, V], labels i32 [N], weights [N] →
 * loss [] = Σ weight · (log Σ e^logits − logit of the label), in nats, and the rows' log Σ e^logits [N], saved for the
 * backward pass. A row of weight 0 counts nothing, whatever its label (which must still be one). Weights and labels are
 * not differentiable.
 */
export const crossEntropyOp = operation<NoAttributes>(
  "crossEntropy",
  takes("logits [rows, classes], labels i32 [rows], weights [rows] -> [], [rows]"),
  {
    gradient: (b, [g], { inputs: [logits, labels, weights], outputs: [, logsumexp] }, wanted) =>
      wanted[0] ? b.apply(crossEntropyGradOp, [g, logits, logsumexp, labels, weights], {}) : [],
    expand(b, [logits, labels, weights]) {
      const [rows, classes] = logits.shape;
      const largest = reduceMax(b, logits, [1], true);
      const sums = reduceSum(b, exp(b, sub(b, logits, largest)), [1]);
      const logsumexp = add(b, log(b, sums), reshape(b, largest, [rows]));
      const chosen = reduceSum(b, mul(b, logits, oneHot(b, labels, classes)), [1]);
      return [reduceSum(b, mul(b, weights, sub(b, logsumexp, chosen)), [0]), logsumexp];
    },
  },
);

export function crossEntropy(
  b: Builder,
  logits: Value,
  labels: Value,
  weights: Value,
): Readonly<Record<"loss" | "logsumexp", Value>> {
  const [loss, logsumexp] = b.apply(crossEntropyOp, [logits, labels, weights], {});
  return { loss, logsumexp };
}

/** By the logits, from g [] and their saved log Σ e^logits [N]: g · weight · (softmax − one-hot of the label). */
export const crossEntropyGradOp = operation<NoAttributes>(
  "crossEntropyGrad",
  takes("g [], logits [rows, classes], logsumexp [rows], labels i32 [rows], weights [rows] -> [rows, classes]"),
  {
    expand(b, [g, logits, logsumexp, labels, weights]) {
      const [rows, classes] = logits.shape;
      const softmax = exp(b, sub(b, logits, reshape(b, logsumexp, [rows, 1])));
      const difference = sub(b, softmax, oneHot(b, labels, classes));
      return [mul(b, difference, reshape(b, mul(b, weights, g), [rows, 1]))];
    },
  },
);
