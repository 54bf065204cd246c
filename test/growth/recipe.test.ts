import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Along,
  choose,
  constant,
  evaluate,
  gather,
  type Recipe,
  type TensorSource,
} from "../../src/growth/recipe.ts";
import { RandomStream } from "../../src/util/random.ts";

/** A source whose element i is i + 1, and which notes how much it was asked for. */
function counting(): TensorSource & { most: number } {
  return {
    most: 0,
    async read(_name, start, count) {
      this.most = Math.max(this.most, count);
      return Float32Array.from({ length: count }, (_, i) => start + i + 1);
    },
  };
}

async function inSlices(recipe: Recipe, rows: number, width: number, slice: number): Promise<number[]> {
  const all: number[] = [];
  for (let row = 0; row < rows; row += slice) {
    const out = new Float32Array(Math.min(slice, rows - row) * width);
    await recipe.fill(out, row, counting());
    all.push(...out);
  }
  return all;
}

const along = (source: number, target: number): fc.Arbitrary<Along> =>
  fc.record({
    index: fc
      .array(fc.nat(source - 1), { minLength: target, maxLength: target })
      .map((index) => Uint32Array.from(index)),
    factor: fc.option(
      fc
        .array(fc.constantFrom(1, 0.5, 1 / 3, 2), { minLength: target, maxLength: target })
        .map((factor) => Float64Array.from(factor)),
      { nil: undefined },
    ),
  });

const cases = fc
  .record({
    from: fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 30 })),
    shape: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 })),
  })
  .chain(({ from, shape }) =>
    fc.record({
      from: fc.constant(from),
      shape: fc.constant(shape),
      rows: along(from[0], shape[0]),
      columns: along(from[1], shape[1]),
      slice: fc.integer({ min: 1, max: 10 }),
    }),
  );

describe("recipes", () => {
  it("gather by index and factor along both dimensions, whole or slice by slice", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ from, shape, rows, columns, slice }) => {
        const recipe = gather({ name: "s", shape: from }, shape, [rows, columns], "");
        const expected = Array.from({ length: shape[0] * shape[1] }, (_, at) => {
          const i = Math.floor(at / shape[1]);
          const j = at % shape[1];
          const value = rows.index[i] * from[1] + columns.index[j] + 1;
          return Math.fround(value * (columns.factor?.[j] ?? 1) * (rows.factor?.[i] ?? 1));
        });
        const close = (values: Iterable<number>) => {
          let i = 0;
          for (const value of values) {
            expect(Math.abs(value - expected[i])).toBeLessThanOrEqual(Math.abs(expected[i]) * 2 ** -23);
            i++;
          }
        };
        close(await evaluate(recipe, counting()));
        close(await inSlices(recipe, shape[0], shape[1], slice));
      }),
    );
  });

  it("gather by maps of long runs, short ones and both, shared evenly or not, bit for bit as the definition says", async () => {
    const random = new RandomStream(2, "runs");
    for (const [n, width] of [
      [64, 200],
      [100, 300],
      [300, 401],
    ]) {
      const maps = [
        (j: number) => j % n,
        (j: number) => (j < n ? j : random.below(n, j)),
        (j: number) => (j < 70 ? n - 1 - (j % n) : (j - 70) % n),
      ];
      for (const map of maps) {
        const index = Uint32Array.from({ length: width }, (_, j) => map(j));
        const counts = new Float64Array(n);
        for (const i of index) counts[i]++;
        const shared = Float64Array.from(index, (i) => 1 / counts[i]);
        for (const factor of [undefined, shared, shared.map(() => 1 / 3)]) {
          const rows = { index: Uint32Array.of(1, 0, 1), factor: Float64Array.of(0.5, 1, 0.5) };
          for (const row of [null, rows]) {
            const shape = [row === null ? 2 : 3, width];
            const recipe = gather({ name: "s", shape: [2, n] }, shape, [row, { index, factor }], "");
            const made = await evaluate(recipe, counting());
            for (let at = 0; at < made.length; at++) {
              const [i, j] = [Math.floor(at / width), at % width];
              const value = (row?.index[i] ?? i) * n + index[j] + 1;
              expect(made[at]).toBe(Math.fround(value * ((factor?.[j] ?? 1) * (row?.factor[i] ?? 1))));
            }
          }
        }
      }
    }
  });

  it("take vectors and matrices as they are where nothing is said", async () => {
    expect([...(await evaluate(gather({ name: "s", shape: [4] }, [4], [null], ""), counting()))]).toEqual([1, 2, 3, 4]);
    expect([...(await evaluate(gather({ name: "s", shape: [2, 2] }, [2, 2], [null, null], ""), counting()))]).toEqual([
      1, 2, 3, 4,
    ]);
  });

  it("gather more than two dimensions", async () => {
    const recipe = gather(
      { name: "s", shape: [2, 2, 2] },
      [3, 2, 2],
      [{ index: Uint32Array.of(0, 1, 1) }, null, { index: Uint32Array.of(1, 0), factor: Float64Array.of(1, 10) }],
      "",
    );
    expect(await inSlices(recipe, 6, 2, 4)).toEqual([2, 10, 4, 30, 6, 50, 8, 70, 6, 50, 8, 70]);
  });

  it("read only the rows they need of a large tensor", async () => {
    const width = 4096;
    const index = Uint32Array.from({ length: 4 }, (_, i) => [5, 6, 7, 3000][i]);
    const source = counting();
    const out = await evaluate(gather({ name: "s", shape: [4096, width] }, [4, width], [{ index }, null], ""), source);
    expect(source.most).toBe(3 * width);
    expect([0, 1, 2, 3].map((r) => out[r * width])).toEqual([5, 6, 7, 3000].map((r) => Math.fround(r * width + 1)));
  });

  it("read rows that stand one after the other as such, and no others, of a small tensor too", async () => {
    const index = Uint32Array.from({ length: 300 }, (_, i) => i % 200);
    const source = counting();
    const recipe = gather({ name: "s", shape: [200, 3] }, [300, 3], [{ index }, null], "");
    const out = new Float32Array(150 * 3);
    await recipe.fill(out, 100, source);
    expect(source.most).toBe(100 * 3);
    expect(out.every((value, at) => value === index[100 + Math.floor(at / 3)] * 3 + (at % 3) + 1)).toBe(true);
  });

  it("choose by row and by column, slice by slice too", async () => {
    const [ones, twos] = [1, 2].map((value) => constant([4, 3], value));
    const rows = choose(0, Uint8Array.of(0, 1, 1, 0), ones, twos, "");
    const columns = choose(1, Uint8Array.of(0, 1, 0), ones, twos, "");
    for (const slice of [1, 2, 3, 4]) {
      expect(await inSlices(rows, 4, 3, slice)).toEqual([1, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 1]);
      expect(await inSlices(columns, 4, 3, slice)).toEqual([1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1]);
    }
    expect([
      ...(await evaluate(choose(0, Uint8Array.of(0, 1), constant([2], 5), constant([2], 6), ""), counting())),
    ]).toEqual([5, 6]);
  });
});
