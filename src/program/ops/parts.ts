/** Parts of a tensor along one axis: taken, filled up, put side by side. They only move, which costs nothing. */
import type { Builder, Shape, Value } from "../graph.ts";
import { ofOne, operation } from "../operation.ts";

/** The shape with another extent along an axis. */
const withExtent = (shape: Shape, axis: number, extent: number) => shape.map((n, i) => (i === axis ? extent : n));
const hasAxis = (shape: Shape, axis: number) => Number.isInteger(axis) && axis >= 0 && axis < shape.length;
const areCounts = (...numbers: readonly number[]) => numbers.every((n) => Number.isInteger(n) && n >= 0);

type Stretch = { readonly axis: number; readonly start: number; readonly end: number };

/** The entries from `start` up to, not including, `end`. */
export const sliceOp = operation<Stretch>(
  "slice",
  ofOne(({ shape }, { axis, start, end }) =>
    hasAxis(shape, axis) && areCounts(start, end) && start < end && end <= shape[axis]
      ? withExtent(shape, axis, end - start)
      : `[${shape}] has no entries ${start} to ${end} along axis ${axis}`,
  ),
  {
    gradient: (b, [g], { inputs: [x], attrs: { axis, start, end } }) => [pad(b, g, axis, start, x.shape[axis] - end)],
  },
);

export function slice(b: Builder, x: Value, axis: number, start: number, end: number): Value {
  return start === 0 && end === x.shape[axis] ? x : b.apply(sliceOp, [x], { axis, start, end })[0];
}

type Padding = { readonly axis: number; readonly before: number; readonly after: number };

/** Zeros before and after the entries. */
export const padOp = operation<Padding>(
  "pad",
  ofOne(({ shape }, { axis, before, after }) =>
    hasAxis(shape, axis) && areCounts(before, after)
      ? withExtent(shape, axis, before + shape[axis] + after)
      : `can't put ${before} before and ${after} after along axis ${axis} of [${shape}]`,
  ),
  {
    gradient: (b, [g], { inputs: [x], attrs: { axis, before } }) => [slice(b, g, axis, before, before + x.shape[axis])],
  },
);

export function pad(b: Builder, x: Value, axis: number, before: number, after: number): Value {
  return before === 0 && after === 0 ? x : b.apply(padOp, [x], { axis, before, after })[0];
}

/** Tensors side by side. */
export const concatOp = operation<{ readonly axis: number }>(
  "concat",
  (inputs, { axis }) => {
    const [first] = inputs;
    if (inputs.length === 0) return "there is nothing to put side by side";
    for (const { dtype, shape } of inputs) {
      const fits = shape.length === first.shape.length && shape.every((n, i) => i === axis || n === first.shape[i]);
      if (fits && hasAxis(shape, axis) && dtype === first.dtype) continue;
      return `[${first.shape}] and [${shape}] do not fit side by side along axis ${axis}`;
    }
    const total = inputs.reduce((sum, { shape }) => sum + shape[axis], 0);
    return [{ dtype: first.dtype, shape: withExtent(first.shape, axis, total) }];
  },
  {
    gradient(b, [g], { inputs, attrs: { axis } }, wanted) {
      let start = 0;
      return inputs.map(({ shape }, i) => {
        const end = start + shape[axis];
        const piece = wanted[i] ? slice(b, g, axis, start, end) : null;
        start = end;
        return piece;
      });
    },
  },
);

export function concat(b: Builder, xs: readonly Value[], axis: number): Value {
  return xs.length === 1 ? xs[0] : b.apply(concatOp, xs, { axis })[0];
}

/** Equal parts. What reads them reads one tensor, so an engine need copy nothing. */
export const splitOp = operation<{ readonly axis: number; readonly parts: number }>(
  "split",
  (inputs, { axis, parts }) => {
    if (inputs.length !== 1) return `takes 1 input, not ${inputs.length}`;
    const [{ dtype, shape }] = inputs;
    const fits = hasAxis(shape, axis) && Number.isInteger(parts) && parts > 0 && shape[axis] % parts === 0;
    if (!fits) return `[${shape}] has no ${parts} equal parts along axis ${axis}`;
    return Array.from({ length: parts }, () => ({ dtype, shape: withExtent(shape, axis, shape[axis] / parts) }));
  },
  {
    // One tensor again, not a sum of padded ones: that would be a pass over all of it for each part.
    ofAllOutputs: true,
    gradient: (b, gradients, { attrs: { axis } }) => [concat(b, gradients, axis)],
    expand(b, [x], { axis, parts }) {
      const extent = x.shape[axis] / parts;
      return Array.from({ length: parts }, (_, i) => slice(b, x, axis, i * extent, (i + 1) * extent));
    },
  },
);

export function split(b: Builder, x: Value, axis: number, parts: number): readonly Value[] {
  return parts === 1 ? [x] : b.apply(splitOp, [x], { axis, parts });
}
