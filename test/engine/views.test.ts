/** Windows under other extents: the same elements in the same order, or nothing. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Window } from "../../src/engine/onednn/steps.ts";
import { isDense, restrided, subWindow } from "../../src/engine/onednn/views.ts";
import { rowMajorStrides } from "../../src/engine/reference/strides.ts";

/** Where the elements lie, in row-major order. */
function places({ skip, dims, strides }: Window): number[] {
  return dims.reduce(
    (found, extent, i) => found.flatMap((at) => Array.from({ length: extent }, (_, k) => at + k * strides[i])),
    [skip],
  );
}

const extents = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
const window = (dims: readonly number[]): Window => ({
  ...{ base: { buffer: 0 }, skip: 0, dims, strides: rowMajorStrides(dims) },
  type: "f32",
});

/** A part of a dense window: some entries along one of its axes. */
const part = fc.tuple(extents, fc.nat(), fc.nat(), fc.nat()).map(([dims, a, b, c]) => {
  const axis = a % dims.length;
  const start = b % dims[axis];
  return subWindow(window(dims), axis, start, 1 + (c % (dims[axis] - start)));
});

/** Extents with as many elements as others: some of theirs joined, some split in two. */
function regrouped(dims: readonly number[], joins: readonly boolean[], ones: number): number[] {
  const found: number[] = [];
  dims.forEach((extent, i) => {
    if (i > 0 && joins[i]) found.push((found.pop() ?? 1) * extent);
    else if (extent === 4 && !joins[i]) found.push(2, 2);
    else found.push(extent);
  });
  return ones % 2 === 0 ? [1, ...found, 1] : found;
}

test("a window under other extents has the same elements in the same order", () => {
  let read = 0;
  fc.assert(
    fc.property(part, fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), fc.nat(), (view, joins, ones) => {
      const dims = regrouped(view.dims, joins, ones);
      const other = restrided(view, dims);
      if (isDense(view)) expect(other).toBeDefined();
      if (other === undefined) return;
      read++;
      expect(other.dims).toEqual(dims);
      expect(places(other)).toEqual(places(view));
    }),
    { numRuns: 2000 },
  );
  expect(read).toBeGreaterThan(500);
});

test("a third of a row's columns can be heads, but not one long row", () => {
  const third = subWindow(window([6, 12]), 1, 4, 4);
  expect(restrided(third, [2, 3, 4])?.strides).toEqual([36, 12, 1]);
  expect(restrided(third, [2, 3, 2, 2])?.strides).toEqual([36, 12, 2, 1]);
  expect(restrided(third, [24])).toBeUndefined();
});
