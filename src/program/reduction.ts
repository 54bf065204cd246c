/** What reductions have in common: which axes go, and what shape is left. */
import { expectAxis, expectCount, expectReal, fail } from "./check.ts";
import type { Shape, Type } from "./graph.ts";

/** `axes` ascending and without repeats; `keep` leaves each with the extent 1. */
export type ReductionAttributes = { readonly axes: readonly number[]; readonly keep: boolean };

export function reducedShape(shape: Shape, { axes, keep }: ReductionAttributes): Shape {
  return shape.flatMap((extent, i) => (axes.includes(i) ? (keep ? [1] : []) : [extent]));
}

export function inferReduction(op: string, inputs: readonly Type[], attrs: ReductionAttributes): readonly Type[] {
  expectCount(op, inputs, 1);
  expectReal(op, "x", inputs[0]);
  for (const axis of attrs.axes) expectAxis(op, axis, inputs[0]);
  if (attrs.axes.some((axis, i) => i > 0 && axis <= attrs.axes[i - 1])) {
    fail(op, `the axes [${attrs.axes}] must be ascending`);
  }
  return [{ dtype: "f32", shape: reducedShape(inputs[0].shape, attrs) }];
}

export function ascending(axes: readonly number[]): readonly number[] {
  return [...axes].sort((p, q) => p - q);
}
