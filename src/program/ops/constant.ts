/** A tensor filled with one number. */
import { expectCount, fail } from "../check.ts";
import type { Builder, Operation, Shape, Value } from "../graph.ts";

type Attrs = { readonly value: number; readonly shape: readonly number[] };

export const constantOp: Operation<Attrs> = {
  name: "constant",
  infer(inputs, { value, shape }) {
    expectCount("constant", inputs, 0);
    if (!Number.isFinite(value)) fail("constant", `the value can't be ${value}`);
    return [{ dtype: "f32", shape }];
  },
  flops: () => 0,
};

export function constant(b: Builder, value: number, shape: Shape = []): Value {
  return b.apply(constantOp, [], { value, shape: [...shape] })[0];
}
