/**
 * The gradients of attention from g [B, Tq, heads · d], q, k, v, its output and its saved probabilities P (before dropout M):
 * dq, dk, dv. Per head, with G and O the gradient and the output of the head:
 *   dV = (P∘M)ᵀ·G,  dP = (G·Vᵀ)∘M,  dS = P∘(dP − r),  dQ = s·dS·K,  dK = s·dSᵀ·Q,
 * where r, a number a query, is Σ_j dP·P = Σ G∘O: taken over the head's width, as in FlashAttention (Dao et al. 2022),
 * instead of over the keys. Where a key was hidden P is 0, so bias, causality and windows need no mention. The heads that
 * read one key-value head are one longer run of queries of it, so its dK and dV are their sums.
 */
import { expectCount, expectReal, expectShape } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import { type Builder, type Operation, sameShape, type Value } from "../graph.ts";
import { matmul } from "./matmul.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { scale } from "./scale.ts";
import { sub } from "./sub.ts";
import { transpose } from "./transpose.ts";

/** Inputs: g, q, k, v, out, probs and, where there was dropout, its mask. */
type Attrs = { readonly heads: number; readonly kvHeads: number; readonly scale: number };

export const attentionGradOp: Operation<Attrs> = {
  name: "attentionGrad",
  infer(inputs, { heads, kvHeads }) {
    expectCount("attentionGrad", inputs, 6, 7);
    const [g, q, k, v, out, probs, mask] = inputs;
    expectReal("attentionGrad", "q", q, 3);
    expectReal("attentionGrad", "k", k, 3);
    const [batch, queries, width] = q.shape;
    const keys = k.shape[1];
    expectShape("attentionGrad", "g", g, q.shape);
    const ofKeys = (width / heads) * kvHeads;
    expectShape("attentionGrad", "k", k, [batch, keys, ofKeys]);
    expectShape("attentionGrad", "v", v, [batch, keys, ofKeys]);
    expectShape("attentionGrad", "the output", out, q.shape);
    expectShape("attentionGrad", "the probabilities", probs, [batch, heads, queries, keys]);
    if (mask !== undefined) expectShape("attentionGrad", "the mask", mask, probs.shape);
    return [q, k, v].map(({ shape }) => ({ dtype: "f32", shape }));
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(attentionGradOp, inputs, attrs),
  expand(b, [g, q, k, v, out, probs, mask], attrs) {
    const { heads, kvHeads } = attrs;
    const [batch, queries, width] = q.shape;
    const perHead = width / heads;
    const masked = (value: Value) => (mask === undefined ? value : mul(b, value, mask));
    const gHeads = grouped(b, splitHeads(b, g, heads), kvHeads);
    const dv = matmul(b, grouped(b, masked(probs), kvHeads), gHeads, { transposeX: true });
    const slopes = matmul(b, gHeads, splitHeads(b, v, kvHeads), { transposeY: true });
    const dProbs = masked(reshaped(b, slopes, probs.shape));
    const rows = reduceSum(b, reshape(b, mul(b, g, out), [batch, queries, heads, perHead]), [3], true);
    const dScores = grouped(b, mul(b, probs, sub(b, dProbs, transpose(b, rows, [0, 2, 1, 3]))), kvHeads);
    const dq = reshaped(b, matmul(b, dScores, splitHeads(b, k, kvHeads)), [batch, heads, queries, perHead]);
    const dk = matmul(b, dScores, grouped(b, splitHeads(b, q, heads), kvHeads), { transposeX: true });
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
  attrs: { readonly heads: number; readonly kvHeads?: number; readonly scale: number },
): { readonly dq: Value; readonly dk: Value; readonly dv: Value } {
  const { g, q, k, v, out, probs, mask } = inputs;
  const values = [g, q, k, v, out, probs];
  if (mask !== undefined) values.push(mask);
  const [dq, dk, dv] = b.apply(attentionGradOp, values, {
    heads: attrs.heads,
    kvHeads: attrs.kvHeads ?? attrs.heads,
    scale: attrs.scale,
  });
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

/** [B, heads, T, n] → [B, kvHeads, heads / kvHeads · T, n]: the queries of heads that share keys, one after the other. */
export function grouped(b: Builder, x: Value, kvHeads: number): Value {
  const [batch, heads, length, width] = x.shape;
  return reshaped(b, x, [batch, kvHeads, (heads / kvHeads) * length, width]);
}

/** As reshape, and nothing where the shape is the same. */
export function reshaped(b: Builder, x: Value, shape: readonly number[]): Value {
  return sameShape(x.shape, shape) ? x : reshape(b, x, shape);
}
