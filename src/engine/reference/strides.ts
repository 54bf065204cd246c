/**
 * Where the elements of a tensor lie when it is read in another order: offsets into a row-major array, one for each
 * element of a shape, from a stride for each axis (0 repeats).
 */
import { type Shape, size } from "../../program/graph.ts";

export function rowMajorStrides(shape: Shape): number[] {
  const strides = shape.map(() => 1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

/** The strides that read a tensor of `shape` as if it were repeated to `wide`. */
export function broadcastStrides(shape: Shape, wide: Shape): number[] {
  const strides = rowMajorStrides(shape);
  const missing = wide.length - shape.length;
  return wide.map((_, i) => (i < missing || shape[i - missing] === 1 ? 0 : strides[i - missing]));
}

/** For each element of `shape`, in row-major order, where it lies: `start` plus its index along each axis × stride. */
export function offsets(shape: Shape, strides: readonly number[], start = 0): Int32Array {
  const result = new Int32Array(size(shape));
  result[0] = start;
  // Axis by axis from the first: what is known for one index of an axis is repeated, shifted, for the others.
  let inner = result.length;
  for (let axis = 0; axis < shape.length; axis++) {
    const outer = inner;
    inner = outer / shape[axis];
    for (let block = 0; block < result.length; block += outer) {
      for (let i = 1; i < shape[axis]; i++) result[block + i * inner] = result[block] + i * strides[axis];
    }
  }
  return result;
}

/** For each element of `shape`, which element of the tensor reduced over `axes` it counts towards. */
export function reducedOffsets(shape: Shape, axes: readonly number[]): Int32Array {
  const kept = rowMajorStrides(shape.map((extent, i) => (axes.includes(i) ? 1 : extent)));
  return offsets(
    shape,
    kept.map((stride, i) => (axes.includes(i) ? 0 : stride)),
  );
}
