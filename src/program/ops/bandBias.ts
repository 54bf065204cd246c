/**
 * What keeps attention inside a band: [rows, cols] with 0 where row i may see column j and HIDDEN elsewhere. The last row
 * stands at the last column, so row i stands at i + cols − rows, and sees the columns from `before` below its own to
 * `after` above it. Causal: after 0. A sliding window (Beltagy et al., Longformer, 2020): a bounded reach.
 */
import { expectCount, fail } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";

/** Added to a score, it leaves a probability of exactly 0; twice it is still finite in f32 and bf16. */
export const HIDDEN = -1e30;

/** How far a row sees on both sides. */
export type Band = { readonly before: number; readonly after: number };

type Attrs = { readonly rows: number; readonly cols: number } & Band;

export const bandBiasOp: Operation<Attrs> = {
  name: "bandBias",
  infer(inputs, { rows, cols, before, after }) {
    expectCount("bandBias", inputs, 0);
    if (rows > cols) fail("bandBias", `${rows} rows over ${cols} columns: the first would see nothing`);
    if (before < 0 || after < 0) fail("bandBias", `a reach can't be ${Math.min(before, after)}`);
    return [{ dtype: "f32", shape: [rows, cols] }];
  },
  flops: () => 0,
};

export function bandBias(b: Builder, rows: number, cols: number, { before, after }: Band): Value {
  return b.apply(bandBiasOp, [], { rows, cols, before, after })[0];
}
