/** Axes in another order, under other extents, repeated, added up. What only moves costs nothing. */
import { type Builder, type Operation, type Shape, sameShape, size, type Type, type Value } from "../graph.ts";
import { ofOne, operation } from "../operation.ts";

type Shaped = { readonly shape: Shape };

/** The same numbers in the same order under another shape. */
export const reshapeOp = operation<Shaped>(
  "reshape",
  ofOne(({ shape: from }, { shape }) => (size(from) === size(shape) ? shape : `[${from}] does not fit [${shape}]`)),
  { gradient: (b, [g], { inputs: [x] }) => [reshape(b, g, x.shape)] },
);

export function reshape(b: Builder, x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : b.apply(reshapeOp, [x], { shape: [...shape] })[0];
}

type Order = { readonly perm: readonly number[] };

/** Axis i of the result is axis perm[i] of x. */
export const transposeOp = operation<Order>(
  "transpose",
  ofOne(({ shape }, { perm }) => {
    const whole = sameShape(ascending(perm), [...shape.keys()]);
    return whole ? perm.map((axis) => shape[axis]) : `[${perm}] is no order of the axes of [${shape}]`;
  }),
  {
    gradient: (b, [g], { attrs: { perm } }) => [
      transpose(
        b,
        g,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ],
  },
);

export function transpose(b: Builder, x: Value, perm: readonly number[]): Value {
  return sameShape(perm, [...x.shape.keys()]) ? x : b.apply(transposeOp, [x], { perm: [...perm] })[0];
}

/**
 * What two shapes broadcast to as numpy has it, or why they don't: they are aligned at their last axes, and an extent of 1
 * (or a missing axis) repeats.
 */
export function broadcastShape(a: Shape, b: Shape): Shape | string {
  const rank = Math.max(a.length, b.length);
  const pairs = Array.from({ length: rank }, (_, i) => [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1]);
  if (pairs.some(([x, y]) => x !== y && x !== 1 && y !== 1)) return `[${a}] and [${b}] do not broadcast`;
  return pairs.map(([x, y]) => (x === 1 ? y : x));
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

/** x repeated to a larger shape, by the rules of broadcasting. */
export const broadcastToOp = operation<Shaped>(
  "broadcastTo",
  ofOne((x, { shape }) => {
    const both = broadcastShape(x.shape, shape);
    return typeof both !== "string" && sameShape(both, shape) ? shape : `[${x.shape}] can't be repeated to [${shape}]`;
  }),
  { gradient: (b, [g], { inputs: [x] }) => [unbroadcast(b, g, x.shape)] },
);

export function broadcastTo(b: Builder, x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : b.apply(broadcastToOp, [x], { shape: [...shape] })[0];
}

/** `axes` ascending and without repeats; `keep` leaves each with the extent 1, else they are gone. */
type Reduction = { readonly axes: readonly number[]; readonly keep: boolean };

function reduction(name: string, rest: Omit<Operation<Reduction>, "name" | "infer"> = {}): Operation<Reduction> {
  const rule = ofOne(({ dtype, shape }: Type, { axes, keep }: Reduction) => {
    if (dtype !== "f32") return `x must be f32, not ${dtype}`;
    const fit = axes.every((axis, i) => Number.isInteger(axis) && axis > (axes[i - 1] ?? -1) && axis < shape.length);
    return fit ? reduced(shape, axes, keep) : `[${axes}] are no axes of [${shape}], ascending`;
  });
  return operation(name, rule, { flops: ([x]) => size(x.shape), ...rest });
}

const reduced = (shape: Shape, axes: readonly number[], keep: boolean): Shape =>
  shape.flatMap((extent, i) => (axes.includes(i) ? (keep ? [1] : []) : [extent]));
const ascending = (axes: readonly number[]) => [...axes].sort((p, q) => p - q);

/** The sum over some axes. */
export const reduceSumOp = reduction("reduceSum", {
  gradient(b, [g], { inputs: [{ shape }], attrs: { axes } }) {
    // Leading axes that are gone come back by broadcasting alone.
    const leading = axes.every((axis, i) => axis === i);
    return [broadcastTo(b, leading ? g : reshape(b, g, reduced(shape, axes, true)), shape)];
  },
});

export function reduceSum(b: Builder, x: Value, axes: readonly number[], keep = false): Value {
  return axes.length === 0 ? x : b.apply(reduceSumOp, [x], { axes: ascending(axes), keep })[0];
}

/** The largest entry over some axes. Not differentiable. */
export const reduceMaxOp = reduction("reduceMax");

export function reduceMax(b: Builder, x: Value, axes: readonly number[], keep = false): Value {
  return axes.length === 0 ? x : b.apply(reduceMaxOp, [x], { axes: ascending(axes), keep })[0];
}
