/** Attention: oneDNN's products and softmax, and our own row kernels (kernels/rows.ts) for what lies between them. */

import { bandOf, optional } from "../../../program/ops/attention.ts";
import type { NodeOf } from "../../../program/ops/index.ts";
import type { Planner } from "../planner.ts";
import type { Window } from "../steps.ts";
import { transposed } from "../views.ts";
import { reshaped, sameType } from "./shared.ts";

const of = "attention";

export function attention(p: Planner, node: NodeOf<"attention">): void {
  const heads = headsIn(node, 0);
  const q = heads.queries(p.part(node.inputs[0]));
  const [k, v] = [1, 2].map((i) => heads.keys(p.part(node.inputs[i])));
  const { bias, mask: pattern, apart } = optional(node.inputs, node.attrs);
  const mask = pattern === undefined ? null : p.window(pattern);
  const [out, probs] = node.outputs;
  const [batch, all, queries, keys] = probs.shape;
  const scores = p.make(probs);
  const scaled = { kind: "scale", factor: node.attrs.scale } as const;
  p.push({ of, do: "matmul", a: q, b: transposed(k), c: heads.scores(scores), after: [scaled] });
  const band = bandOf(node.attrs, keys);
  if (band !== undefined || bias !== undefined || apart !== undefined) {
    const [added, ofQueries, ofKeys] = [bias, apart?.queries, apart?.keys].map((value) =>
      value === undefined ? null : p.window(value),
    );
    const { before, after } = band ?? { before: keys, after: keys };
    const args = [scores, keys, queries, before, after, added, all * queries, ofQueries, ofKeys];
    p.push({ of, do: "kernel", name: "hideRows", args, split: batch * all * queries });
  }
  p.push({ of, do: "softmax", x: scores, y: scores });
  const dropped = mask === null ? scores : p.scratch(probs.shape);
  if (mask !== null) p.push({ of, do: "binary", algorithm: "mul", x: scores, y: mask, z: dropped });
  const shares = sameType(p, dropped, v);
  p.push({ of, do: "matmul", a: heads.scores(shares), b: v, c: heads.queries(p.makeFor(out)), after: [] });
}

export function attentionGrad(p: Planner, node: NodeOf<"attentionGrad">): void {
  const heads = headsIn(node, 1);
  const [g, out] = [node.inputs[0], node.inputs[4]].map((value) => p.window(value));
  const probs = p.window(node.inputs[5]);
  const mask = node.inputs.length > 6 ? p.window(node.inputs[6]) : null;
  const [dq, dk, dv] = node.outputs;
  const [batch, all, queries, keys] = node.inputs[5].shape;
  const [gHeads, q] = [0, 1].map((i) => heads.queries(p.part(node.inputs[i])));
  const [k, v] = [2, 3].map((i) => heads.keys(p.part(node.inputs[i])));
  let dropped = probs;
  if (mask !== null) {
    dropped = p.scratch(probs.dims);
    p.push({ of, do: "binary", algorithm: "mul", x: probs, y: mask, z: dropped });
  }
  const shares = sameType(p, dropped, gHeads);
  p.push({
    ...{ of, do: "matmul" },
    a: transposed(heads.sums(p, shares)),
    b: heads.sums(p, gHeads),
    c: heads.summed(p.makePart(dv)),
    after: [],
  });
  const scores = p.scratch(probs.dims);
  p.push({ of, do: "matmul", a: gHeads, b: transposed(v), c: heads.scores(scores), after: [] });
  const width = node.inputs[1].shape[2] / all;
  p.push({
    of,
    do: "kernel",
    name: "softmaxGradRows",
    args: [scores, probs, mask, g, out, keys, queries, all, width, node.attrs.scale],
    split: batch * all * queries,
  });
  const slopes = sameType(p, scores, k);
  p.push({ of, do: "matmul", a: heads.scores(slopes), b: k, c: heads.queries(p.makePart(dq)), after: [] });
  p.push({
    ...{ of, do: "matmul" },
    a: transposed(heads.sums(p, slopes)),
    b: heads.sums(p, q),
    c: heads.summed(p.makePart(dk)),
    after: [],
  });
}

/**
 * How windows are read as heads. Where several heads read one key-value head (grouped attention) a product of queries and
 * keys has a dimension more, along which the keys repeat; and a sum over a group's queries is one product over all of
 * them, for which they must lie one after the other.
 * @param at which input the queries are
 */
function headsIn(node: NodeOf<"attentionGrad">, at: number) {
  const { heads, kvHeads } = node.attrs;
  const group = heads / kvHeads;
  const [, length, width] = node.inputs[at].shape;
  const perHead = width / heads;
  /** [batch, T, n · perHead] as [batch, n, T, perHead]. */
  const split = (window: Window, n: number): Window => {
    const [batch, rows] = window.dims;
    const [ofBatch, ofRow, one] = window.strides;
    return { ...window, dims: [batch, n, rows, perHead], strides: [ofBatch, perHead * one, ofRow, one] };
  };
  /** [batch, heads, …] as [batch, kvHeads, group, …]. */
  const byGroup = (window: Window): Window => {
    if (group === 1) return window;
    const { dims, strides } = window;
    return {
      ...window,
      dims: [dims[0], kvHeads, group, ...dims.slice(2)],
      strides: [strides[0], group * strides[1], ...strides.slice(1)],
    };
  };
  return {
    queries: (window: Window) => byGroup(split(window, heads)),
    keys(window: Window): Window {
      const one = split(window, kvHeads);
      if (group === 1) return one;
      const { dims, strides } = one;
      return {
        ...one,
        dims: [dims[0], dims[1], 1, ...dims.slice(2)],
        strides: [strides[0], strides[1], strides[1], ...strides.slice(2)],
      };
    },
    /** [batch, heads, queries, keys] */
    scores: byGroup,
    /** [batch, kvHeads, group · queries, n], of queries or of scores. */
    sums(p: Planner, window: Window): Window {
      if (group === 1) return window;
      const last = window.dims[window.dims.length - 1];
      const dims = [window.dims[0], kvHeads, group * length, last];
      // Scores [batch, heads, queries, keys] lie so already.
      if (window.dims.length === 4) return reshaped(window, dims);
      const copy = p.scratch(window.dims, window.type);
      p.push({ of, do: "reorder", x: window, y: copy });
      return reshaped(copy, dims);
    },
    /** What such a sum gives, of keys. */
    summed: (window: Window) => split(window, kvHeads),
  };
}
