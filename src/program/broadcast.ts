/**
 * Broadcasting as numpy does it: shapes are aligned at their last axes, and an extent of 1 (or a missing axis) repeats.
 * The gradient of what was repeated is the sum over the repeats.
 */
import { fail } from "./check.ts";
import { type Builder, type Shape, sameShape, type Value } from "./graph.ts";
import { reduceSum } from "./ops/reduceSum.ts";
import { reshape } from "./ops/reshape.ts";

/** The shape two shapes broadcast to. @throws ProgramError if they do not */
export function broadcastShape(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) fail(op, `[${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
}

/** Sums a gradient over the axes along which a value of `shape` was repeated: at most one reduction and one reshape. */
export function unbroadcast(b: Builder, gradient: Value, shape: Shape): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const missing = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((extent, i) =>
    i < missing || (shape[i - missing] === 1 && extent !== 1) ? [i] : [],
  );
  return reshape(b, reduceSum(b, gradient, axes, missing === 0), shape);
}
