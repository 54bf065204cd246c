import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { full } from "../../../src/train/plan/plans/full.ts";
import { twoStage, twoStageModels } from "../../../src/train/plan/plans/two-stage.ts";
import { decays, factorAt, rateAt, type Schedule } from "../../../src/train/plan/schedule.ts";
import { PlanError, placeStages, type StageSpec, stageAt, subModelAt } from "../../../src/train/plan/stage.ts";

const stage = (spec: Partial<StageSpec>): StageSpec => ({ name: "s", head: true, optimizer: "keep", ...spec });

describe("placeStages", () => {
  it("covers the run without gap or overlap, whatever the shares", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 5000 }), fc.boolean(), (parts, steps, open) => {
        const sum = parts.reduce((a, b) => a + b, 0);
        const specs = parts.map((part, i) => stage(open && i === 0 ? {} : { share: part / sum }));
        const stages = placeStages(specs, steps);
        expect(stages[0].start).toBe(0);
        expect(stages[stages.length - 1].end).toBe(steps);
        stages.slice(1).forEach((next, i) => {
          expect(next.start).toBe(stages[i].end);
        });
        for (const { start, end, index } of stages) {
          expect(Math.abs(end - start - (parts[index] / sum) * steps)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("gives the stage without a length what is left", () => {
    const stages = placeStages([stage({ steps: 30 }), stage({}), stage({ share: 0.2 })], 100);
    expect(stages.map(({ start, end }) => [start, end])).toEqual([
      [0, 30],
      [30, 80],
      [80, 100],
    ]);
    expect(stageAt(stages, 29).index).toBe(0);
    expect(stageAt(stages, 30).index).toBe(1);
  });

  it.each([
    [[stage({ steps: 101 })]],
    [[stage({ share: 0.5 })]],
    [[stage({}), stage({})]],
    [[stage({ share: 0.7 }), stage({ share: 0.7 })]],
  ])("refuses stages that do not make up the run", (specs) => {
    expect(() => placeStages(specs, 100)).toThrow(PlanError);
  });
});

describe("two-stage", () => {
  it("runs l_b, 2·l_b, … all layers and trains the top l_b, then the whole model", () => {
    expect(twoStageModels(3, 12)).toEqual([3, 6, 9, 12].map((layers) => ({ layers, train: 3 })));
    expect(twoStageModels(3, 8)).toEqual([3, 6, 8].map((layers) => ({ layers, train: 3 })));
    expect(twoStageModels(3, 2)).toEqual([{ layers: 2, train: 2 }]);
    const stages = placeStages(twoStage.expand({ block: 3, share: 0.125 }, 12), 1000);
    expect(stages.map(({ start, end }) => [start, end])).toEqual([
      [0, 125],
      [125, 1000],
    ]);
    expect(stages[1].models).toBeUndefined();
    expect(full.expand({}, 12)).toEqual([{ name: "full", head: true, optimizer: "keep" }]);
  });

  it("draws sub-models uniformly, each step's by itself", () => {
    const [first] = twoStage.expand({}, 12);
    const counts = new Map<number, number>();
    for (let step = 0; step < 4000; step++) {
      const { layers } = subModelAt(first, 12, 3, step);
      counts.set(layers, (counts.get(layers) ?? 0) + 1);
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([3, 6, 9, 12]);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(100);
    expect(subModelAt(first, 12, 3, 77)).toEqual(subModelAt(first, 12, 3, 77));
  });
});

describe("the schedule", () => {
  it("rises to the peak and falls to nothing by the end", () => {
    const linear: Schedule = { warmup: 4, decay: "linear" };
    const factors = Array.from({ length: 12 }, (_, step) => factorAt(linear, step, 12));
    expect(factors).toEqual([0.25, 0.5, 0.75, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]);
    expect(factorAt({ warmup: 0.05, decay: "linear" }, 49, 1000)).toBe(1);
    expect(factorAt({ warmup: 0.05, decay: "linear" }, 0, 1000)).toBe(1 / 50);
    expect(factorAt({ warmup: 0, decay: "cosine" }, 50, 100)).toBeCloseTo(0.5, 12);
    expect(factorAt({ warmup: 10, decay: "quadratic" }, 10 + 45, 100)).toBeCloseTo(0.25, 12);
    expect(factorAt({ warmup: 0, decay: "constant" }, 99, 100)).toBe(1);
    expect(factorAt({ warmup: 1, decay: "linear" }, 0, 1)).toBe(1);
  });

  it("with a cooldown stays at the peak, and falls in the last steps only: whatever the length, the trunk is the same", () => {
    const factors = (decay: Schedule["decay"], cooldown: number, steps: number) =>
      Array.from({ length: steps }, (_, step) => factorAt({ warmup: 2, decay, cooldown }, step, steps));
    expect(factors("linear", 4, 10)).toEqual([0.5, 1, 1, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4]);
    expect(factors("linear", 0.4, 10)).toEqual(factors("linear", 4, 10));
    expect(factors("sqrt", 4, 8)).toEqual([
      0.5,
      1,
      1,
      1,
      1,
      1 - Math.sqrt(1 / 4),
      1 - Math.sqrt(2 / 4),
      1 - Math.sqrt(3 / 4),
    ]);
    expect(factors("cosine", 2, 6)).toEqual([0.5, 1, 1, 1, 1, (1 + Math.cos(Math.PI / 2)) / 2]);
    // A decay that is as long as the run begins after the warm-up.
    expect(factors("linear", 10, 10)).toEqual(
      Array.from({ length: 10 }, (_, step) => factorAt({ warmup: 2, decay: "linear" }, step, 10)),
    );
    expect(factors("linear", 0, 5)).toEqual(factors("constant", 3, 5));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(...decays),
        (stable, fall, decay) => {
          const steps = 5 + stable + fall;
          for (let step = 0; step < 5 + stable; step++) {
            const trunk = factorAt({ warmup: 5, decay: "constant" }, step, 1000);
            expect(factorAt({ warmup: 5, decay, cooldown: fall }, step, steps)).toBe(trunk);
          }
          expect(factorAt({ warmup: 5, decay, cooldown: fall }, steps - 1, steps)).toBeGreaterThan(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("goes on with the run's cooldown in a stage that warms up anew, or has its own", () => {
    const run: Schedule = { warmup: 0, decay: "linear", cooldown: 40 };
    const stages = placeStages(
      [
        stage({ steps: 50, schedule: { warmup: 0, decay: "linear", cooldown: 10 } }),
        stage({ schedule: { warmup: 10, decay: "run" } }),
      ],
      100,
    );
    const rate = (step: number) => rateAt(2, run, stages, stageAt(stages, step), step);
    expect([39, 45, 54, 59, 60, 80].map(rate)).toEqual([2, 1, 1, 2, 2, 1]);
  });

  it("goes on across stages, unless a stage has its own", () => {
    const run: Schedule = { warmup: 0, decay: "linear" };
    const stages = placeStages(
      [
        stage({ steps: 50 }),
        stage({ steps: 30, schedule: { warmup: 10, decay: "run" } }),
        stage({ schedule: { warmup: 0, decay: "linear" } }),
      ],
      100,
    );
    const rate = (step: number) => rateAt(2, run, stages, stageAt(stages, step), step);
    expect(rate(49)).toBeCloseTo(2 * 0.51, 12);
    expect(rate(50)).toBeCloseTo(2 * 0.5 * 0.1, 12);
    expect(rate(70)).toBeCloseTo(2 * 0.3, 12);
    expect(rate(80)).toBeCloseTo(2, 12);
    expect(rate(90)).toBeCloseTo(1, 12);
  });
});
