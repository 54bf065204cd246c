/**
 * What keeps attention from looking ahead: [rows, cols] with 0 where row i may see column j and HIDDEN elsewhere.
 * The last row stands at the last column, so row i sees columns 0 … i + cols − rows.
 */
import { expectCount, fail } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";

/** Added to a score, it leaves a probability of exactly 0; twice it is still finite in f32 and bf16. */
export const HIDDEN = -1e30;

type Attrs = { readonly rows: number; readonly cols: number };

export const causalBiasOp: Operation<Attrs> = {
  name: "causalBias",
  infer(inputs, { rows, cols }) {
    expectCount("causalBias", inputs, 0);
    if (rows > cols) fail("causalBias", `${rows} rows over ${cols} columns: the first would see nothing`);
    return [{ dtype: "f32", shape: [rows, cols] }];
  },
  flops: () => 0,
};

export function causalBias(b: Builder, rows: number, cols: number): Value {
  return b.apply(causalBiasOp, [], { rows, cols })[0];
}
