/** Windows on parts of a buffer: which can be read under other extents without moving anything. */
import { rowMajorStrides } from "../reference/strides.ts";
import type { Window } from "./steps.ts";

/** The same memory with the last two dimensions exchanged. */
export function transposed<T extends { readonly dims: readonly number[]; readonly strides: readonly number[] }>(
  view: T,
): T {
  const last = view.dims.length - 1;
  const swap = (of: readonly number[]) => [...of.slice(0, last - 1), of[last], of[last - 1]];
  return { ...view, dims: swap(view.dims), strides: swap(view.strides) };
}

/** Whether the elements lie one after the other. */
export function isDense({ dims, strides }: Window): boolean {
  const dense = rowMajorStrides(dims);
  return strides.every((stride, i) => dims[i] === 1 || stride === dense[i]);
}

/** The entries from `start` on, `extent` of them along an axis. */
export function subWindow(window: Window, axis: number, start: number, extent: number): Window {
  const dims = window.dims.map((n, i) => (i === axis ? extent : n));
  return { ...window, skip: window.skip + start * window.strides[axis], dims };
}

/** The same elements in the same order under other extents, where strides can say that; else undefined. */
export function restrided(window: Window, dims: readonly number[]): Window | undefined {
  const old = window.dims.map((n, i) => ({ n, stride: window.strides[i] })).filter(({ n }) => n !== 1);
  const strides = dims.map(() => 1);
  let [i, j] = [0, 0];
  while (j < dims.length) {
    if (dims[j] === 1) {
      j++;
      continue;
    }
    // The least runs of old and of new dimensions that hold equally many elements.
    let [before, after, iEnd, jEnd] = [old[i].n, dims[j], i + 1, j + 1];
    while (before !== after) {
      if (before < after) before *= old[iEnd++].n;
      else after *= dims[jEnd++];
    }
    for (let k = i; k + 1 < iEnd; k++) if (old[k].stride !== old[k + 1].n * old[k + 1].stride) return undefined;
    let stride = old[iEnd - 1].stride;
    for (let k = jEnd - 1; k >= j; k--) {
      strides[k] = stride;
      stride *= dims[k];
    }
    [i, j] = [iEnd, jEnd];
  }
  return { ...window, dims, strides };
}
