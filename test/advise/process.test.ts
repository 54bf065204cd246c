/** The Gaussian process against its definition: values it was given, each left out in turn by fitting anew, and far away. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gaussianProcess, type Observation } from "../../src/advise/process.ts";

const observation = fc.record({
  at: fc.tuple(fc.double({ min: -3, max: 3, noNaN: true }), fc.double({ min: -3, max: 3, noNaN: true })),
  value: fc.double({ min: -1, max: 1, noNaN: true }),
  noise: fc.double({ min: 0.02, max: 0.2, noNaN: true }),
});

describe("a Gaussian process", () => {
  it("leaves each value out in closed form as fitting without it does", () => {
    fc.assert(
      fc.property(fc.array(observation, { minLength: 2, maxLength: 12 }), (data: readonly Observation[]) => {
        const misses = gaussianProcess(data, 0.3).misses();
        data.forEach(({ at, value, noise }, i) => {
          const { mean, deviation } = gaussianProcess(data.toSpliced(i, 1), 0.3).at(at);
          expect(misses[i]).toBeCloseTo((value - mean) / Math.hypot(deviation, noise), 5);
        });
      }),
    );
  });

  it("of one value is Bayes' rule for two normal numbers, and knows nothing far away", () => {
    const process = gaussianProcess([{ at: [1, 2], value: 0.4, noise: 0.1 }], 0.2);
    const weight = 0.2 ** 2 / (0.2 ** 2 + 0.1 ** 2);
    expect(process.at([1, 2]).mean).toBeCloseTo(0.4 * weight, 12);
    expect(process.at([1, 2]).deviation ** 2).toBeCloseTo(0.2 ** 2 * (1 - weight), 12);
    expect(process.at([9, 9])).toEqual({ mean: expect.closeTo(0, 9), deviation: expect.closeTo(0.2, 9) });
    expect(gaussianProcess([], 0.2).at([0])).toEqual({ mean: 0, deviation: 0.2 });
  });
});
