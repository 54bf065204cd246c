/**
 * The gradients of attention from g [B, Tq, D], q, k, v, its output and its saved probabilities P (before dropout M):
 * dq, dk, dv. Per head, with G and O the gradient and the output of the head:
 *   dV = (P∘M)ᵀ·G,  dP = (G·Vᵀ)∘M,  dS = P∘(dP − r),  dQ = s·dS·K,  dK = s·dSᵀ·Q,
 * where r, a number a query, is Σ_j dP·P = Σ G∘O: taken over the head's width, as in FlashAttention (Dao et al. 2022),
 * instead of over the keys. Where a key was hidden P is 0, so bias and causality need no mention.
 */
import { expectCount, expectReal, expectShape } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { matmul } from "./matmul.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { scale } from "./scale.ts";
import { sub } from "./sub.ts";
import { transpose } from "./transpose.ts";

/** Inputs: g, q, k, v, out, probs and, where there was dropout, its mask. */
type Attrs = { readonly heads: number; readonly scale: number };

export const attentionGradOp: Operation<Attrs> = {
  name: "attentionGrad",
  infer(inputs, { heads }) {
    expectCount("attentionGrad", inputs, 6, 7);
    const [g, q, k, v, out, probs, mask] = inputs;
    expectReal("attentionGrad", "q", q, 3);
    expectReal("attentionGrad", "k", k, 3);
    const [batch, queries, width] = q.shape;
    const keys = k.shape[1];
    expectShape("attentionGrad", "g", g, q.shape);
    expectShape("attentionGrad", "k", k, [batch, keys, width]);
    expectShape("attentionGrad", "v", v, [batch, keys, width]);
    expectShape("attentionGrad", "the output", out, q.shape);
    expectShape("attentionGrad", "the probabilities", probs, [batch, heads, queries, keys]);
    if (mask !== undefined) expectShape("attentionGrad", "the mask", mask, probs.shape);
    return [q, k, v].map(({ shape }) => ({ dtype: "f32", shape }));
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(attentionGradOp, inputs, attrs),
  expand(b, [g, q, k, v, out, probs, mask], attrs) {
    const { heads } = attrs;
    const [batch, queries, width] = q.shape;
    const masked = (value: Value) => (mask === undefined ? value : mul(b, value, mask));
    const gHeads = splitHeads(b, g, heads);
    const dv = matmul(b, masked(probs), gHeads, { transposeX: true });
    const dProbs = masked(matmul(b, gHeads, splitHeads(b, v, heads), { transposeY: true }));
    const rows = reduceSum(b, reshape(b, mul(b, g, out), [batch, queries, heads, width / heads]), [3], true);
    const dScores = mul(b, probs, sub(b, dProbs, transpose(b, rows, [0, 2, 1, 3])));
    const dq = matmul(b, dScores, splitHeads(b, k, heads));
    const dk = matmul(b, dScores, splitHeads(b, q, heads), { transposeX: true });
    return [scale(b, joinHeads(b, dq), attrs.scale), scale(b, joinHeads(b, dk), attrs.scale), joinHeads(b, dv)];
  },
};

export function attentionGrad(
  b: Builder,
  inputs: {
    readonly g: Value;
    readonly q: Value;
    readonly k: Value;
    readonly v: Value;
    readonly out: Value;
    readonly probs: Value;
    readonly mask?: Value;
  },
  attrs: { readonly heads: number; readonly scale: number },
): { readonly dq: Value; readonly dk: Value; readonly dv: Value } {
  const { g, q, k, v, out, probs, mask } = inputs;
  const values = [g, q, k, v, out, probs];
  if (mask !== undefined) values.push(mask);
  const [dq, dk, dv] = b.apply(attentionGradOp, values, { heads: attrs.heads, scale: attrs.scale });
  return { dq, dk, dv };
}

/** [B, T, D] → [B, heads, T, D / heads]. */
export function splitHeads(b: Builder, x: Value, heads: number): Value {
  const [batch, length, width] = x.shape;
  return transpose(b, reshape(b, x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, heads, T, d] → [B, T, heads · d]. */
export function joinHeads(b: Builder, x: Value): Value {
  const [batch, heads, length, width] = x.shape;
  return reshape(b, transpose(b, x, [0, 2, 1, 3]), [batch, length, heads * width]);
}
