/** Multi-head scaled dot-product attention (Vaswani et al. 2017) and its gradients. */
import type { Builder, Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { reduceSum, reshape, transpose } from "./axes.ts";
import { add, equal, mul, scale, sub } from "./elementwise.ts";
import { matmul } from "./products.ts";
import { softmax } from "./softmax.ts";
import { type Band, bandBias, constant, HIDDEN } from "./tables.ts";

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

/**
 * q [B, Tq, heads · d], k and v [B, Tk, kvHeads · d], heads side by side, and heads that read one key-value head beside each
 * other (Ainslie et al., GQA, 2023) → out [B, Tq, heads · d] and the probabilities [B, heads, Tq, Tk], saved for the backward
 * pass as they are before dropout. `bias` [B, Tk] is added to the scores (0 or large negative, for padding); `mask`
 * [B, heads, Tq, Tk] is a dropout pattern that multiplies the probabilities; `apart` says which document each query [B, Tq]
 * and each key [B, Tk] belongs to, and a query then reads its own document's keys alone. None is differentiable. When causal
 * or inside a window, the last query stands at the last key (see bandBias).
 */
export const attentionOp = operation<AttentionAttributes>(
  "attention",
  takes(
    ({ bias, mask, apart }) => [
      "q [batch, queries, width], k [batch, keys, ofKeys], v [batch, keys, ofKeys]",
      bias && "bias [batch, keys]",
      mask && "mask [batch, heads, queries, keys]",
      apart && "queries i32 [batch, queries], keys i32 [batch, keys]",
      "-> [batch, queries, width], [batch, heads, queries, keys]",
    ],
    ({ width, ofKeys, queries, keys }, attrs) => {
      const band = bandOf(attrs, keys);
      if (band !== undefined && queries > keys) return `${queries} queries in order over ${keys} keys`;
      return unfit(width, ofKeys, attrs);
    },
  ),
  {
    gradient(b, [g], { inputs, outputs: [out, probs], attrs }, wanted) {
      const { mask } = optional(inputs, attrs);
      const { heads, kvHeads, scale } = attrs;
      const given = [g, ...inputs.slice(0, 3), out, probs, ...(mask === undefined ? [] : [mask])];
      return b.apply(attentionGradOp, given, { heads, kvHeads, scale }).map((slope, i) => (wanted[i] ? slope : null));
    },
    expand(b, inputs, attrs) {
      const [q, k, v] = inputs;
      const { bias, mask, apart } = optional(inputs, attrs);
      const [batch, queries, width] = q.shape;
      const keys = k.shape[1];
      const { heads, kvHeads } = attrs;
      const probabilities = [batch, heads, queries, keys];
      const queryHeads = grouped(b, splitHeads(b, q, heads), kvHeads);
      const products = matmul(b, queryHeads, splitHeads(b, k, kvHeads), { transposeY: true });
      let scores = reshape(b, scale(b, products, attrs.scale), probabilities);
      if (bias !== undefined) scores = add(b, scores, reshape(b, bias, [batch, 1, 1, keys]));
      const band = bandOf(attrs, keys);
      if (band !== undefined) scores = add(b, scores, bandBias(b, queries, keys, band));
      if (apart !== undefined) {
        const ofQueries = reshape(b, apart.queries, [batch, 1, queries, 1]);
        const own = equal(b, ofQueries, reshape(b, apart.keys, [batch, 1, 1, keys]));
        scores = add(b, scores, scale(b, sub(b, constant(b, 1), own), HIDDEN));
      }
      const probs = softmax(b, scores);
      const weights = mask === undefined ? probs : mul(b, probs, mask);
      const read = matmul(b, grouped(b, weights, kvHeads), splitHeads(b, v, kvHeads));
      return [joinHeads(b, reshape(b, read, [batch, heads, queries, width / heads])), probs];
    },
  },
);

export function attention(
  b: Builder,
  q: Value,
  k: Value,
  v: Value,
  options: AttentionOptions,
): Readonly<Record<"out" | "probs", Value>> {
  const { heads, kvHeads = heads, causal, window = -1, prefix = false, bias, mask, apart } = options;
  const inputs = [q, k, v, bias, mask, apart?.queries, apart?.keys].filter((value) => value !== undefined);
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

type Heads = Pick<AttentionAttributes, "heads" | "kvHeads" | "scale">;

/**
 * From g [B, Tq, heads · d], q, k, v, the output, the saved probabilities P (before dropout M) and, where there was dropout,
 * its mask: dq, dk, dv. Per head, with G and O the gradient and the output of the head:
 *   dV = (P∘M)ᵀ·G,  dP = (G·Vᵀ)∘M,  dS = P∘(dP − r),  dQ = s·dS·K,  dK = s·dSᵀ·Q,
 * where r, a number a query, is Σ_j dP·P = Σ G∘O: taken over the head's width, as in FlashAttention (Dao et al. 2022),
 * instead of over the keys. Where a key was hidden P is 0, so bias, causality and windows need no mention. The heads that
 * read one key-value head are one longer run of queries of it, so its dK and dV are their sums.
 */
export const attentionGradOp = operation<Heads>(
  "attentionGrad",
  takes(
    () => [
      "g [batch, queries, width], q [batch, queries, width], k [batch, keys, ofKeys], v [batch, keys, ofKeys]",
      "out [batch, queries, width], probs [batch, heads, queries, keys], mask? [batch, heads, queries, keys]",
      "-> [batch, queries, width], [batch, keys, ofKeys], [batch, keys, ofKeys]",
    ],
    ({ width, ofKeys }, attrs) => unfit(width, ofKeys, attrs),
  ),
  {
    expand(b, [g, q, k, v, out, probs, mask], attrs) {
      const { heads, kvHeads } = attrs;
      const [batch, queries, width] = q.shape;
      const perHead = width / heads;
      const masked = (value: Value) => (mask === undefined ? value : mul(b, value, mask));
      const gHeads = grouped(b, splitHeads(b, g, heads), kvHeads);
      const dv = matmul(b, grouped(b, masked(probs), kvHeads), gHeads, { transposeX: true });
      const slopes = matmul(b, gHeads, splitHeads(b, v, kvHeads), { transposeY: true });
      const dProbs = masked(reshape(b, slopes, probs.shape));
      const rows = reduceSum(b, reshape(b, mul(b, g, out), [batch, queries, heads, perHead]), [3], true);
      const dScores = grouped(b, mul(b, probs, sub(b, dProbs, transpose(b, rows, [0, 2, 1, 3]))), kvHeads);
      const dq = scale(b, matmul(b, dScores, splitHeads(b, k, kvHeads)), attrs.scale);
      const dk = matmul(b, dScores, grouped(b, splitHeads(b, q, heads), kvHeads), { transposeX: true });
      const ofQueries = joinHeads(b, reshape(b, dq, [batch, heads, queries, perHead]));
      return [ofQueries, joinHeads(b, scale(b, dk, attrs.scale)), joinHeads(b, dv)];
    },
  },
);

/** Why queries of a width and keys of a width are not so many heads. */
function unfit(width: number, ofKeys: number, { heads, kvHeads }: Heads): string | false {
  if (width % heads !== 0) return `a width of ${width} is not ${heads} whole heads`;
  if (heads % kvHeads !== 0) return `${heads} heads over ${kvHeads} of keys`;
  return ofKeys * heads !== width * kvHeads && `keys of a width of ${ofKeys} are not ${kvHeads} of these heads`;
}

/** [B, T, D] → [B, heads, T, D / heads]. */
function splitHeads(b: Builder, x: Value, heads: number): Value {
  const [batch, length, width] = x.shape;
  return transpose(b, reshape(b, x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [B, heads, T, d] → [B, T, heads · d]. */
function joinHeads(b: Builder, x: Value): Value {
  const [batch, heads, length, width] = x.shape;
  return reshape(b, transpose(b, x, [0, 2, 1, 3]), [batch, length, heads * width]);
}

/** [B, heads, T, n] → [B, kvHeads, heads / kvHeads · T, n]: the queries of heads that share keys, one after the other. */
function grouped(b: Builder, x: Value, kvHeads: number): Value {
  const [batch, heads, length, width] = x.shape;
  return reshape(b, x, [batch, kvHeads, (heads / kvHeads) * length, width]);
}
