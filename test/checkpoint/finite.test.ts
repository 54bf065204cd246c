import { describe, expect, it } from "vitest";
import { fromFloat32, fromFloat32InPlace, Losses, roundTo } from "../../src/checkpoint/dtype.ts";
import { countNotFinite } from "../../src/checkpoint/finite.ts";
import { PageMemory } from "../../src/store/direct.ts";
import { RandomStream } from "../../src/util/random.ts";

const broken = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

describe.each<[string, (count: number) => Float32Array]>([
  ["an array", (count) => new Float32Array(count + 1).subarray(1)],
  ["memory that a kernel works on", (count) => new PageMemory(4 * (count + 3)).numbers(count, 12)],
])("numbers in %s", (_name, memory) => {
  it("are finite up to the largest and the smallest, and with one that is not anywhere they are not", () => {
    const largest = 2 ** 127 * (2 - 2 ** -23);
    for (const count of [0, 1, 3, 4, 15, 16, 17, 100]) {
      const data = memory(count).map((_, i) => [0, -0, largest, -largest, 2 ** -149, 1][i % 6]);
      const view = memory(count);
      view.set(data);
      expect(countNotFinite(view)).toBe(0);
      for (let at = 0; at < count; at++) {
        const was = view[at];
        view[at] = broken[at % 3];
        expect(countNotFinite(view), `${at} of ${count}`).toBe(1);
        view[at] = was;
      }
    }
  });

  it("lie beside others that do not count", () => {
    const around = memory(40);
    around.fill(Number.NaN);
    const inside = around.subarray(3, 37).fill(1);
    expect(countNotFinite(inside)).toBe(0);
    expect(countNotFinite(around.subarray(3, 38))).toBe(1);
  });
});

describe("what numbers lose on their way into a format", () => {
  const random = new RandomStream(1, "losses");
  // Every size that float32 has, boundaries of the formats among them, signs mixed.
  const sizes = Float32Array.from({ length: 40_000 }, (_, i) => 2 ** (random.uniform(i) * 277 - 150));
  const corners = [
    0,
    65504,
    65519.996,
    65520,
    2 ** -25,
    2 ** -25 * 1.0001,
    2 ** -24,
    3.3895e38,
    3.3961e38,
    3.3962e38,
    3.4e38,
    3.4028e38,
    2 ** -134,
    2 ** -133,
  ];
  const data = Float32Array.from([...sizes, ...corners, ...broken], (x, i) => (i % 2 === 0 ? x : -x));

  it.each(["F32", "F16", "BF16"] as const)("is counted for %s as comparing before and after does", (dtype) => {
    const after = roundTo(data.slice(), dtype);
    const count = (is: (before: number, after: number) => boolean) =>
      data.reduce((sum, x, i) => sum + (is(x, after[i]) ? 1 : 0), 0);
    const wanted = {
      notFinite: 3,
      overflowed: count((a, b) => Number.isFinite(a) && !Number.isFinite(b)),
      vanished: count((a, b) => a !== 0 && b === 0),
    };
    if (dtype !== "F32") expect(Math.min(wanted.overflowed, wanted.vanished)).toBeGreaterThan(2);
    for (const convert of [fromFloat32, fromFloat32InPlace]) {
      const losses = new Losses();
      convert(data.slice(), dtype, losses);
      expect({ ...losses }).toEqual(wanted);
    }
  });
});
