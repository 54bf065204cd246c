import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isUniform, MAP_KINDS, makeMap, mapKind, unitMap } from "../../src/growth/maps.ts";

const kinds = fc.constantFrom(...MAP_KINDS);
const sizes = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 0, max: 90 }));
const seeds = fc.integer({ min: 0, max: 2 ** 40 });

describe("maps", () => {
  it("begin with the source's own units, stay within them, and count what they use", () => {
    fc.assert(
      fc.property(kinds, sizes, seeds, (kind, [source, more], seed) => {
        const map = makeMap(kind, source, source + more, seed, "test");
        expect([...map.of.subarray(0, source)]).toEqual(Array.from({ length: source }, (_, i) => i));
        const counts = new Uint32Array(source);
        for (const unit of map.of) counts[unit]++;
        expect(map.counts).toEqual(counts);
        expect(map.of.length).toBe(source + more);
      }),
    );
  });

  it("of cyclic and shuffled units are even: counts differ by at most one, and not at all at a multiple", () => {
    fc.assert(
      fc.property(fc.constantFrom("cyclic", "shuffled"), sizes, seeds, (kind, [source, more], seed) => {
        const map = makeMap(mapKind(kind), source, source + more, seed, "test");
        expect(Math.max(...map.counts) - Math.min(...map.counts)).toBeLessThanOrEqual(1);
        expect(isUniform(map)).toBe(more % source === 0);
      }),
    );
  });

  it("go round in order when cyclic", () => {
    expect([...makeMap("cyclic", 3, 8, 0, "").of]).toEqual([0, 1, 2, 0, 1, 2, 0, 1]);
  });

  it("repeat from their seed, and differ by seed and axis where they are drawn", () => {
    for (const kind of MAP_KINDS) {
      const map = (seed: number, stream: string) => [...makeMap(kind, 30, 90, seed, stream).of];
      expect(map(7, "a")).toEqual(map(7, "a"));
      if (kind === "cyclic") continue;
      expect(map(7, "a")).not.toEqual(map(8, "a"));
      expect(map(7, "a")).not.toEqual(map(7, "b"));
    }
    const [first, second] = [0, 1].map((round) =>
      makeMap("shuffled", 30, 90, 7, "a").of.slice(30 * (round + 1), 30 * (round + 2)),
    );
    expect(first).not.toEqual(second);
  });

  it("that do not begin with the source's units are refused", () => {
    expect(() => unitMap(2, Uint32Array.of(1, 0))).toThrow("must start");
    expect(() => unitMap(2, Uint32Array.of(0, 1, 2))).toThrow("unit 2");
    expect(() => mapKind("cylic")).toThrow("did you mean `cyclic`");
  });
});
