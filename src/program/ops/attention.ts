/**
 * Multi-head scaled dot-product attention (Vaswani et al. 2017): q [B, Tq, D], k and v [B, Tk, D], heads side by side
 * along D → out [B, Tq, D] and the probabilities [B, heads, Tq, Tk], saved for the backward pass as they are before
 * dropout. `bias` [B, Tk] is added to the scores (0 or large negative, for padding); `mask` [B, heads, Tq, Tk] is a
 * dropout pattern that multiplies the probabilities. Neither is differentiable. When causal, the last query stands at
 * the last key (see causalBias).
 */
import { expectCount, expectReal, expectShape, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Type, Value } from "../graph.ts";
import { add } from "./add.ts";
import { attentionGrad, joinHeads, splitHeads } from "./attentionGrad.ts";
import { causalBias } from "./causalBias.ts";
import { matmul } from "./matmul.ts";
import { mul } from "./mul.ts";
import { reshape } from "./reshape.ts";
import { scale } from "./scale.ts";
import { softmax } from "./softmax.ts";

export type AttentionOptions = {
  readonly heads: number;
  readonly causal: boolean;
  /** What scores are multiplied by; default 1/√(D / heads). */
  readonly scale?: number;
  readonly bias?: Value;
  readonly mask?: Value;
};

export type AttentionAttributes = {
  readonly heads: number;
  readonly causal: boolean;
  readonly scale: number;
  /** Whether the optional inputs are there: q, k, v, then the bias, then the mask. */
  readonly bias: boolean;
  readonly mask: boolean;
};

export const attentionOp: Operation<AttentionAttributes> = {
  name: "attention",
  infer(inputs, attrs) {
    expectCount("attention", inputs, 3 + Number(attrs.bias) + Number(attrs.mask));
    const [q, k, v] = inputs;
    const { bias, mask } = optional(inputs, attrs);
    expectReal("attention", "q", q, 3);
    expectReal("attention", "k", k, 3);
    const [batch, queries, width] = q.shape;
    const keys = k.shape[1];
    expectShape("attention", "k", k, [batch, keys, width]);
    expectShape("attention", "v", v, [batch, keys, width]);
    if (width % attrs.heads !== 0) fail("attention", `a width of ${width} is not ${attrs.heads} whole heads`);
    if (attrs.causal && queries > keys) fail("attention", `${queries} causal queries over ${keys} keys`);
    if (bias !== undefined) expectShape("attention", "the bias", bias, [batch, keys]);
    const probabilities = [batch, attrs.heads, queries, keys];
    if (mask !== undefined) expectShape("attention", "the mask", mask, probabilities);
    return [
      { dtype: "f32", shape: q.shape },
      { dtype: "f32", shape: probabilities },
    ];
  },
  gradient(b, node, gradients, attrs, wanted) {
    if (wanted.some((want, i) => want && i > 2)) fail("attention", "its bias and its mask are not differentiable");
    const g = gradientOfFirst("attention", gradients);
    const [q, k, v] = node.inputs;
    const [out, probs] = node.outputs;
    const { mask } = optional(node.inputs, attrs);
    const { dq, dk, dv } = attentionGrad(b, { g, q, k, v, out, probs, mask }, attrs);
    return [wanted[0] ? dq : null, wanted[1] ? dk : null, wanted[2] ? dv : null, null, null];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(attentionOp, inputs, attrs),
  expand(b, inputs, attrs) {
    const [q, k, v] = inputs;
    const { bias, mask } = optional(inputs, attrs);
    const [batch, queries] = q.shape;
    const keys = k.shape[1];
    const queryHeads = splitHeads(b, scale(b, q, attrs.scale), attrs.heads);
    let scores = matmul(b, queryHeads, splitHeads(b, k, attrs.heads), { transposeY: true });
    if (bias !== undefined) scores = add(b, scores, reshape(b, bias, [batch, 1, 1, keys]));
    if (attrs.causal) scores = add(b, scores, causalBias(b, queries, keys));
    const probs = softmax(b, scores);
    const weights = mask === undefined ? probs : mul(b, probs, mask);
    return [joinHeads(b, matmul(b, weights, splitHeads(b, v, attrs.heads))), probs];
  },
};

export function attention(
  b: Builder,
  q: Value,
  k: Value,
  v: Value,
  options: AttentionOptions,
): { readonly out: Value; readonly probs: Value } {
  const { heads, causal, bias, mask } = options;
  const inputs = [q, k, v];
  if (bias !== undefined) inputs.push(bias);
  if (mask !== undefined) inputs.push(mask);
  const [out, probs] = b.apply(attentionOp, inputs, {
    heads,
    causal,
    scale: options.scale ?? 1 / Math.sqrt(q.shape[2] / heads),
    bias: bias !== undefined,
    mask: mask !== undefined,
  });
  return { out, probs };
}

function optional<T extends Type>(
  inputs: readonly T[],
  attrs: AttentionAttributes,
): { bias: T | undefined; mask: T | undefined } {
  return {
    bias: attrs.bias ? inputs[3] : undefined,
    mask: attrs.mask ? inputs[attrs.bias ? 4 : 3] : undefined,
  };
}
