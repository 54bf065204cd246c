/**
 * Multi-head scaled dot-product attention (Vaswani et al. 2017): q [B, Tq, heads · d], k and v [B, Tk, kvHeads · d],
 * heads side by side, and heads that read one key-value head beside each other (Ainslie et al., GQA, 2023) → out
 * [B, Tq, heads · d] and the probabilities [B, heads, Tq, Tk], saved for the backward pass as they are before dropout. `bias` [B, Tk] is added to the scores (0 or large negative, for padding); `mask` [B, heads, Tq, Tk] is a
 * dropout pattern that multiplies the probabilities; `apart` says which document each query [B, Tq] and each key [B, Tk]
 * belongs to, and a query then reads its own document's keys alone. None is differentiable. When causal or inside a
 * window, the last query stands at the last key (see bandBias).
 */
import { expectCount, expectIndex, expectReal, expectShape, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import { type Builder, type Operation, sameShape, type Type, type Value } from "../graph.ts";
import { add } from "./add.ts";
import { attentionGrad, grouped, joinHeads, reshaped, splitHeads } from "./attentionGrad.ts";
import { type Band, bandBias, HIDDEN } from "./bandBias.ts";
import { constant } from "./constant.ts";
import { equal } from "./equal.ts";
import { matmul } from "./matmul.ts";
import { mul } from "./mul.ts";
import { reshape } from "./reshape.ts";
import { scale } from "./scale.ts";
import { softmax } from "./softmax.ts";
import { sub } from "./sub.ts";

export type AttentionOptions = {
  readonly heads: number;
  /** Default `heads`, of which it is a divisor. */
  readonly kvHeads?: number;
  readonly causal: boolean;
  /** Keys further away than this are hidden; absent: none is. */
  readonly window?: number;
  /** What scores are multiplied by; default 1/√d. */
  readonly scale?: number;
  readonly bias?: Value;
  /** Whether the bias hides keys at the end of each sequence and nothing else; default no. */
  readonly prefix?: boolean;
  readonly mask?: Value;
  readonly apart?: { readonly queries: Value; readonly keys: Value };
};

export type AttentionAttributes = {
  readonly heads: number;
  readonly kvHeads: number;
  readonly causal: boolean;
  /** -1: none. */
  readonly window: number;
  readonly scale: number;
  /** Whether the bias hides nothing but the ends of sequences. */
  readonly prefix: boolean;
  /** Whether the optional inputs are there: q, k, v, then the bias, then the mask, then the documents of queries and keys. */
  readonly bias: boolean;
  readonly mask: boolean;
  readonly apart: boolean;
};

export const attentionOp: Operation<AttentionAttributes> = {
  name: "attention",
  infer(inputs, attrs) {
    expectCount("attention", inputs, 3 + Number(attrs.bias) + Number(attrs.mask) + 2 * Number(attrs.apart));
    const [q, k, v] = inputs;
    const { bias, mask, apart } = optional(inputs, attrs);
    expectReal("attention", "q", q, 3);
    expectReal("attention", "k", k, 3);
    const [batch, queries, width] = q.shape;
    const keys = k.shape[1];
    if (width % attrs.heads !== 0) fail("attention", `a width of ${width} is not ${attrs.heads} whole heads`);
    if (attrs.heads % attrs.kvHeads !== 0) fail("attention", `${attrs.heads} heads over ${attrs.kvHeads} of keys`);
    const ofKeys = (width / attrs.heads) * attrs.kvHeads;
    expectShape("attention", "k", k, [batch, keys, ofKeys]);
    expectShape("attention", "v", v, [batch, keys, ofKeys]);
    const band = bandOf(attrs, keys);
    if (band !== undefined && queries > keys) fail("attention", `${queries} queries in order over ${keys} keys`);
    if (bias !== undefined) expectShape("attention", "the bias", bias, [batch, keys]);
    const probabilities = [batch, attrs.heads, queries, keys];
    if (mask !== undefined) expectShape("attention", "the mask", mask, probabilities);
    if (apart !== undefined) {
      expectDocuments("queries", apart.queries, [batch, queries]);
      expectDocuments("keys", apart.keys, [batch, keys]);
    }
    return [
      { dtype: "f32", shape: q.shape },
      { dtype: "f32", shape: probabilities },
    ];
  },
  gradient(b, node, gradients, attrs, wanted) {
    if (wanted.some((want, i) => want && i > 2)) fail("attention", "only q, k and v are differentiable");
    const g = gradientOfFirst("attention", gradients);
    const [q, k, v] = node.inputs;
    const [out, probs] = node.outputs;
    const { mask } = optional(node.inputs, attrs);
    const { dq, dk, dv } = attentionGrad(b, { g, q, k, v, out, probs, mask }, attrs);
    return [wanted[0] ? dq : null, wanted[1] ? dk : null, wanted[2] ? dv : null, null, null, null, null];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(attentionOp, inputs, attrs),
  expand(b, inputs, attrs) {
    const [q, k, v] = inputs;
    const { bias, mask, apart } = optional(inputs, attrs);
    const [batch, queries] = q.shape;
    const keys = k.shape[1];
    const { heads, kvHeads } = attrs;
    const probabilities = [batch, heads, queries, keys];
    const queryHeads = grouped(b, splitHeads(b, scale(b, q, attrs.scale), heads), kvHeads);
    let scores = reshaped(b, matmul(b, queryHeads, splitHeads(b, k, kvHeads), { transposeY: true }), probabilities);
    if (bias !== undefined) scores = add(b, scores, reshape(b, bias, [batch, 1, 1, keys]));
    const band = bandOf(attrs, keys);
    if (band !== undefined) scores = add(b, scores, bandBias(b, queries, keys, band));
    if (apart !== undefined) {
      const own = equal(
        b,
        reshape(b, apart.queries, [batch, 1, queries, 1]),
        reshape(b, apart.keys, [batch, 1, 1, keys]),
      );
      scores = add(b, scores, scale(b, sub(b, constant(b, 1), own), HIDDEN));
    }
    const probs = softmax(b, scores);
    const weights = mask === undefined ? probs : mul(b, probs, mask);
    const read = matmul(b, grouped(b, weights, kvHeads), splitHeads(b, v, kvHeads));
    return [joinHeads(b, reshaped(b, read, [batch, heads, queries, q.shape[2] / heads])), probs];
  },
};

export function attention(
  b: Builder,
  q: Value,
  k: Value,
  v: Value,
  options: AttentionOptions,
): { readonly out: Value; readonly probs: Value } {
  const { heads, kvHeads = heads, causal, window = -1, prefix = false, bias, mask, apart } = options;
  const inputs = [q, k, v];
  if (bias !== undefined) inputs.push(bias);
  if (mask !== undefined) inputs.push(mask);
  if (apart !== undefined) inputs.push(apart.queries, apart.keys);
  const [out, probs] = b.apply(attentionOp, inputs, {
    heads,
    kvHeads,
    causal,
    window,
    scale: options.scale ?? 1 / Math.sqrt(q.shape[2] / heads),
    prefix,
    bias: bias !== undefined,
    mask: mask !== undefined,
    apart: apart !== undefined,
  });
  return { out, probs };
}

/** How far a query sees, or undefined where it sees every key. */
export function bandOf(
  { causal, window }: Pick<AttentionAttributes, "causal" | "window">,
  keys: number,
): Band | undefined {
  if (!causal && window < 0) return undefined;
  const reach = window < 0 ? keys : window;
  return { before: reach, after: causal ? 0 : reach };
}

/** What is there beyond q, k and v, by name. */
export function optional<T>(
  inputs: readonly T[],
  attrs: Pick<AttentionAttributes, "bias" | "mask" | "apart">,
): { bias?: T; mask?: T; apart?: { queries: T; keys: T } } {
  const rest = inputs.slice(3);
  const bias = attrs.bias ? rest.shift() : undefined;
  const mask = attrs.mask ? rest.shift() : undefined;
  return { bias, mask, apart: attrs.apart ? { queries: rest[0], keys: rest[1] } : undefined };
}

function expectDocuments(what: string, type: Type, shape: readonly number[]): void {
  expectIndex("attention", `the documents of ${what}`, type, 2);
  if (!sameShape(type.shape, shape)) {
    fail("attention", `the documents of ${what} must be [${shape}], not [${type.shape}]`);
  }
}
