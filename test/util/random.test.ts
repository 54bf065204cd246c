/** Counter-based random numbers: known answers of the cipher, independence of order, and rough statistics. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { philox, RandomStream, streamId } from "../../src/util/random.ts";

describe("philox4x32-10", () => {
  const ones = 0xffffffff;
  // The known answers that the cipher's authors publish with their Random123 library.
  test.each([
    [[0, 0], [0, 0, 0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    [[ones, ones], [ones, ones, ones, ones], "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    [[0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], "d16cfe09 94fdcceb 5001e420 24126ea1"],
  ])("key %j, counter %j", ([k0, k1], [c0, c1, c2, c3], answer) => {
    const out = new Uint32Array(4);
    philox(k0, k1, c0, c1, c2, c3, out);
    expect([...out].map((word) => word.toString(16).padStart(8, "0")).join(" ")).toBe(answer);
  });
});

describe("RandomStream", () => {
  test("reads the cipher at key = seed, counter = (index, step, stream)", () => {
    const out = new Uint32Array(4);
    philox(7, 3, 5, 0, 11, streamId("masks"), out);
    const random = new RandomStream(3 * 2 ** 32 + 7, "masks", 11);
    expect([20, 21, 22, 23].map((i) => random.uint32(i))).toEqual([...out]);
    philox(7, 3, 1, 2, 11, streamId("masks"), out);
    expect(random.uint32(4 * (2 * 2 ** 32 + 1) + 3)).toBe(out[3]);
  });

  test("gives the same number at an index whatever was asked before", () => {
    const index = fc.nat({ max: 10_000 });
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.string(), fc.nat(), fc.array(index), index, (seed, stream, step, before, i) => {
        const random = new RandomStream(seed, stream, step);
        for (const j of before) random.normal(j);
        const fresh = () => new RandomStream(seed, stream, step);
        expect(random.uint32(i)).toBe(fresh().uint32(i));
        expect(random.normal(i)).toBe(fresh().normal(i));
      }),
    );
  });

  test("differs by seed, by both halves of it, by stream and by step", () => {
    const first = (seed: number, stream: string, step: number) => new RandomStream(seed, stream, step).uint32(0);
    const numbers = [
      first(1, "a", 0),
      first(2, "a", 0),
      first(1 + 2 ** 32, "a", 0),
      first(1, "b", 0),
      first(1, "a", 1),
    ];
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test("permutes", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat({ max: 300 }), (seed, n) => {
        const order = new RandomStream(seed, "order").permutation(n);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
      }),
    );
  });

  test("permutes evenly", () => {
    const counts = new Map<string, number>();
    for (let step = 0; step < 6000; step++) {
      const order = new RandomStream(1, "even", step).permutation(3).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    // Five standard deviations of a count of 1000 are 145.
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(145);
  });

  test("stays below n and reaches all of it", () => {
    const random = new RandomStream(5, "below");
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) counts[random.below(10, i)]++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  test("is uniform and normal", () => {
    const random = new RandomStream(3, "moments");
    const n = 50_000;
    const moments = (draw: (i: number) => number) => {
      let [mean, square, fourth] = [0, 0, 0];
      for (let i = 0; i < n; i++) {
        const x = draw(i);
        mean += x / n;
        square += x ** 2 / n;
        fourth += x ** 4 / n;
      }
      return { mean, square, fourth };
    };
    const uniform = moments((i) => random.uniform(i));
    expect(uniform.mean).toBeCloseTo(1 / 2, 2);
    expect(uniform.square).toBeCloseTo(1 / 3, 2);
    const normal = moments((i) => random.normal(i));
    expect(Math.abs(normal.mean)).toBeLessThan(0.025);
    expect(Math.abs(normal.square - 1)).toBeLessThan(0.035);
    expect(Math.abs(normal.fourth - 3)).toBeLessThan(0.25);
    let pairs = 0;
    for (let i = 0; i < n; i += 2) pairs += (random.normal(i) * random.normal(i + 1)) / (n / 2);
    expect(Math.abs(pairs)).toBeLessThan(0.035);
  });
});
