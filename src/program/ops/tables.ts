/** Rows of tables by their numbers, and tensors that are known without any input. */
import { type Builder, type NoAttributes, type Shape, size, type Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";

type Groups = { readonly groups: number };

const wholeGroups = (groups: number, rows: number, ids: number) =>
  (rows % groups !== 0 || ids % groups !== 0) && `${rows} rows and ${ids} ids are not ${groups} of each`;

/**
 * Rows of a table by their numbers: table [V, D], ids i32 [N] → [N, D]. An id outside 0 … V − 1 is an error when run.
 * With `groups` the table and the ids are so many side by side, and the ids of each lie in its part of the table: what is
 * split among devices by groups then needs nothing of another. An engine need not make use of it.
 */
export const gatherOp = operation<Groups>(
  "gather",
  takes("table [rows, width], ids i32 [n] -> [n, width]", ({ rows, n }, { groups }) => wholeGroups(groups, rows, n)),
  {
    gradient: (b, [g], { inputs: [table, ids], attrs: { groups } }) => [
      scatterAdd(b, ids, g, table.shape[0], groups),
      null,
    ],
  },
);

export function gather(b: Builder, table: Value, ids: Value, groups = 1): Value {
  return b.apply(gatherOp, [table, ids], { groups })[0];
}

/**
 * The mirror image of gather: ids i32 [N], updates [N, D] → [rows, D], zero but for the updates, each added to its row.
 * With `groups` as gather has them. Repeated ids add up, in an order that depends on nothing but the ids, so that the same
 * ids give the same bits.
 */
export const scatterAddOp = operation<Groups & { readonly rows: number }>(
  "scatterAdd",
  takes("ids i32 [n], updates [n, width] -> [rows, width]", ({ n }, { rows, groups }) => wholeGroups(groups, rows, n)),
  {
    gradient: (b, [g], { inputs: [ids], attrs: { groups } }) => [null, gather(b, g, ids, groups)],
    flops: ([, updates]) => size(updates.shape),
  },
);

export function scatterAdd(b: Builder, ids: Value, updates: Value, rows: number, groups = 1): Value {
  return b.apply(scatterAddOp, [ids, updates], { rows, groups })[0];
}

/** For each id a row of zeros with a one at the id: i32 [N] → [N, depth]. */
export const oneHotOp = operation<{ readonly depth: number }>("oneHot", takes("ids i32 [n] -> [n, depth]"));

export function oneHot(b: Builder, ids: Value, depth: number): Value {
  return b.apply(oneHotOp, [ids], { depth })[0];
}

/** The index of the largest entry along the last axis, the first of several: [..., n] → i32 [...]. */
export const argmaxOp = operation<NoAttributes>("argmax", takes("x [*, n] -> i32 [*]"), {
  flops: ([x]) => size(x.shape),
});

export function argmax(b: Builder, x: Value): Value {
  return b.apply(argmaxOp, [x], {})[0];
}

/** A tensor filled with one number. */
export const constantOp = operation<{ readonly value: number; readonly shape: Shape }>("constant", (inputs, attrs) => {
  if (inputs.length > 0) return `takes 0 inputs, not ${inputs.length}`;
  return Number.isFinite(attrs.value) ? [{ dtype: "f32", shape: attrs.shape }] : `the value can't be ${attrs.value}`;
});

export function constant(b: Builder, value: number, shape: Shape = []): Value {
  return b.apply(constantOp, [], { value, shape: [...shape] })[0];
}

/** Added to a score, it leaves a probability of exactly 0; twice it is still finite in f32 and bf16. */
export const HIDDEN = -1e30;

/** How far a row sees on both sides. */
export type Band = { readonly before: number; readonly after: number };

/**
 * What keeps attention inside a band: [rows, cols] with 0 where row i may see column j and HIDDEN elsewhere. The last row
 * stands at the last column, so row i stands at i + cols − rows, and sees the columns from `before` below its own to
 * `after` above it. Causal: after 0. A sliding window (Beltagy et al., Longformer, 2020): a bounded reach.
 */
export const bandBiasOp = operation<{ readonly rows: number; readonly cols: number } & Band>(
  "bandBias",
  takes("-> [rows, cols]", ({ rows, cols, before, after }) => {
    if (rows > cols) return `${rows} rows over ${cols} columns: the first would see nothing`;
    return (before < 0 || after < 0) && `a reach can't be ${Math.min(before, after)}`;
  }),
);

export function bandBias(b: Builder, rows: number, cols: number, { before, after }: Band): Value {
  return b.apply(bandBiasOp, [], { rows, cols, before, after })[0];
}
