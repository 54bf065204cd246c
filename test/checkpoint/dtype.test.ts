import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromFloat32, fromFloat32InPlace, roundTo, toFloat32 } from "../../src/checkpoint/dtype.ts";

/** Every 16-bit pattern. */
const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
const patternBytes = new Uint8Array(patterns.buffer);

/** The number that an F16 or BF16 pattern means, from the definition of the formats. */
function meaning(pattern: number, exponentBits: number): number {
  const fractionBits = 15 - exponentBits;
  const sign = pattern >= 0x8000 ? -1 : 1;
  const exponent = (pattern & 0x7fff) >> fractionBits;
  const fraction = (pattern & ((1 << fractionBits) - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

describe.each([
  ["F16", 5],
  ["BF16", 8],
] as const)("%s", (dtype, exponentBits) => {
  const values = patterns.reduce<number[]>((all, pattern) => {
    all.push(meaning(pattern, exponentBits));
    return all;
  }, []);
  /** The finite values from 0 upwards: the pattern is the index. */
  const ascending = values.slice(0, 0x8000).filter(Number.isFinite);

  it("means what the format says, all 65,536 patterns", () => {
    const read = toFloat32(patternBytes, dtype);
    const wrong = values.findIndex((value, i) => !Object.is(value, read[i]));
    expect(wrong).toBe(-1);
  });

  it("comes back from float32 as it was, NaNs included", () => {
    expect(fromFloat32(toFloat32(patternBytes, dtype), dtype)).toEqual(patternBytes);
  });

  it("is the same in the numbers' own memory, shared or not, and leaves what lies beside them", () => {
    const numbers = Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i) * 10 ** ((i % 13) - 9));
    for (const Memory of [ArrayBuffer, SharedArrayBuffer]) {
      const all = new Float32Array(new Memory(4 * (numbers.length + 2))).fill(7);
      const data = all.subarray(1, 1 + numbers.length);
      data.set(numbers);
      expect(fromFloat32InPlace(data, dtype)).toEqual(fromFloat32(numbers, dtype));
      expect([all[0], all[all.length - 1]]).toEqual([7, 7]);
    }
  });

  it("rounds to nearest, ties to even, at every boundary between two neighbours", () => {
    const inputs: number[] = [];
    const expected: number[] = [];
    const one = new Float32Array(1);
    const bits = new Int32Array(one.buffer);
    for (let i = 0; i + 1 < ascending.length; i++) {
      // All midpoints are float32 numbers; so are their neighbours.
      one[0] = (ascending[i] + ascending[i + 1]) / 2;
      const middle = bits[0];
      for (const [offset, pattern] of [
        [-1, i],
        [0, i % 2 === 0 ? i : i + 1],
        [1, i + 1],
      ]) {
        // Below the smallest float32 subnormal there is nothing between.
        bits[0] = middle + offset;
        if (ascending[i + 1] < 2 ** -133) continue;
        inputs.push(one[0], -one[0]);
        expected.push(pattern, pattern + 0x8000);
      }
    }
    const got = new Uint16Array(fromFloat32(Float32Array.from(inputs), dtype).buffer);
    expect(got.findIndex((pattern, i) => pattern !== expected[i])).toBe(-1);
    expect(inputs.length).toBeGreaterThan(180_000);
  });

  it("overflows to infinity half a step above the largest number", () => {
    const largest = ascending.at(-1) ?? 0;
    const half = (largest - (ascending.at(-2) ?? 0)) / 2;
    const below = new Float32Array([largest + half * 0.99]);
    expect(roundTo(below, dtype)[0]).toBe(largest);
    expect(roundTo(new Float32Array([-(largest + half), 3.4e38]), dtype)).toEqual(
      new Float32Array([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]),
    );
    expect(roundTo(new Float32Array([Number.NaN]), dtype)[0]).toBeNaN();
  });

  it("is monotone and never off by more than half a step", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), fc.float({ noNaN: true }), (a, b) => {
        const [x, y] = roundTo(new Float32Array(a <= b ? [a, b] : [b, a]), dtype);
        expect(x).toBeLessThanOrEqual(y);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("other formats", () => {
  it("are read as numbers, from unaligned bytes as well", () => {
    const cases = [
      ["I64", new BigInt64Array([-3n, 7n])],
      ["U64", new BigUint64Array([0n, 7n])],
      ["F64", new Float64Array([0.5, -3])],
      ["I32", new Int32Array([-3, 70_000])],
      ["U32", new Uint32Array([3, 70_000])],
      ["I16", new Int16Array([-3, 7])],
      ["U16", new Uint16Array([3, 7])],
      ["I8", new Int8Array([-3, 7])],
      ["U8", new Uint8Array([3, 7])],
      ["BOOL", new Uint8Array([1, 0])],
      ["F32", new Float32Array([1.5, 7])],
    ] as const;
    for (const [dtype, data] of cases) {
      const shifted = new Uint8Array(data.byteLength + 1);
      shifted.set(new Uint8Array(data.buffer), 1);
      expect([...toFloat32(shifted.subarray(1), dtype)], dtype).toEqual(Array.from(data, Number));
    }
    expect(() => toFloat32(new Uint8Array(8), "C64")).toThrow(RangeError);
  });
});
