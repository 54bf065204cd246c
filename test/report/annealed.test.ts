import { describe, expect, it } from "vitest";
import { annealedCrossing, pairInterval } from "../../src/report/annealed.ts";
import { fairSaving } from "../../src/report/fair.ts";
import type { AnnealedRun, StudyMethodResult, StudyRun } from "../../src/report/study-data.ts";
import { annealedTable } from "../../src/report/study-tables.ts";
import { RandomStream } from "../../src/util/random.ts";

/** A loss that falls as a power of FLOPs, as pre-training's does. */
const law = (scale: number) => (flops: number) => 1.5 + 4 * (flops / scale) ** -0.3;
const shares = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
const budget = 1e15;

function annealed(seed: number, loss: (flops: number) => number, off = 0): AnnealedRun {
  const point = (share: number) => ({
    step: Math.round(1000 * share),
    tokens: 1,
    share,
    loss: loss(share * budget) + off,
  });
  return { seed, points: shares.map((share) => ({ ...point(share), flops: { exact: share * budget, paper: 1 } })) };
}

function run(seed: number, loss: (flops: number) => number, off = 0): StudyRun {
  const evaluations = annealed(seed, loss, off).points.map(({ share: _, ...point }) => point);
  return { seed, rate: 1, cell: "c", engine: "e", machine: "m", evaluations, costs: [], growths: [] };
}

const exact = (point: StudyRun["evaluations"][number]) => point.flops.exact;

describe("a curve of annealed losses", () => {
  it("meets a level where a straight line over the logarithm of FLOPs does", () => {
    const curve = [
      { flops: 1, loss: 5 },
      { flops: 4, loss: 3 },
      { flops: 16, loss: 2.5 },
    ];
    expect(annealedCrossing(curve, 4)).toBeCloseTo(2, 12);
    expect(annealedCrossing(curve, 3)).toBe(4);
    expect(annealedCrossing(curve, 5)).toBe(1);
    expect(annealedCrossing(curve, 6)).toBe("before");
    expect(annealedCrossing(curve, 2)).toBe(null);
  });
});

describe("the saving at equal annealed loss", () => {
  it("is right on curves whose saving is known", () => {
    for (const truth of [0.1, 0.25, 0.45, 0.55]) {
      // A method that is where scratch is with so much less, whatever the budget.
      const method = law(1e13 * (1 - truth));
      const found = fairSaving([annealed(1, method)], [run(1, law(1e13))], exact, undefined);
      // Between points a tenth of the budget apart the law is bent a little against the logarithm.
      expect(Math.abs((found.reuse?.mean ?? 0) - truth)).toBeLessThan(1e-3);
      expect(found.allIn).toBe(null);
      const charged = fairSaving([annealed(1, method)], [run(1, law(1e13))], exact, 0.2 * budget);
      expect(charged.allIn?.mean).toBeCloseTo((found.reuse?.mean ?? 0) - 0.2, 12);
    }
    const none = fairSaving([annealed(1, law(2e13))], [run(1, law(1e13))], exact, undefined);
    expect(none).toMatchObject({ reuse: null, pairs: 1, before: 0, never: 1 });
    const all = fairSaving([annealed(1, law(2e12))], [run(1, law(1e13))], exact, undefined);
    expect(all).toMatchObject({ reuse: null, pairs: 1, before: 1, never: 0 });
  });

  it("has an interval that covers the truth in some 95 of 100 studies with noise like ours", () => {
    const truth = 0.35;
    const noise = new RandomStream(1, "noise");
    let drawn = 0;
    // Seeds differ by some 0.01 nats, a branch from its trunk's others by a third of that.
    const normal = (size: number) => size * noise.normal(drawn++);
    const noisy = (loss: (flops: number) => number) => {
      const off = normal(0.01);
      return (flops: number) => loss(flops) + off + normal(0.003);
    };
    const covered = (seeds: number, studies: number) => {
      let hits = 0;
      for (let i = 0; i < studies; i++) {
        const methods = Array.from({ length: seeds }, (_, k) => annealed(k, noisy(law(1e13 * (1 - truth)))));
        const reference = Array.from({ length: seeds }, (_, k) => run(k, noisy(law(1e13))));
        const { reuse } = fairSaving(methods, reference, exact, undefined);
        if (reuse?.low != null && reuse.high !== null && reuse.low <= truth && truth <= reuse.high) hits++;
      }
      return hits / studies;
    };
    for (const seeds of [2, 3, 5]) {
      const share = covered(seeds, 1000);
      expect(share, `${seeds} seeds`).toBeGreaterThan(0.93);
      // One that covered everything would say nothing.
      expect(share, `${seeds} seeds`).toBeLessThan(0.997);
    }
  });

  it("has no interval where one seed on each side tells nothing", () => {
    expect(pairInterval([[0.3]])).toEqual({ mean: 0.3, low: null, high: null });
    const one = pairInterval([[0.2, 0.4]]);
    const two = pairInterval([[0.2], [0.4]]);
    expect(one).toEqual(two);
    expect(one.low).toBeLessThan(0.2);
  });
});

describe("the table of annealed losses", () => {
  const none = { mean: null, low: null, high: null, count: 0, missing: 0 };
  const method = (name: string, ...ends: readonly number[]): StudyMethodResult => ({
    ...{
      name,
      label: name,
      about: "",
      reference: name === "scratch",
      grown: false,
      paper: null,
      trials: [],
      rate: 1e-3,
    },
    ...{ runs: [], missing: [], final: none, savings: null, fair: null, settings: [] },
    annealed: ends.map((loss, seed) => ({ seed, points: [{ ...annealed(seed, () => loss).points[0], share: 1 }] })),
  });
  const columnOf = (...methods: readonly StudyMethodResult[]) => {
    const { columns, rows } = annealedTable({
      ...{ title: "", about: [], discussion: [], progress: { done: 1, all: 1 }, accounting: "exact", facts: [] },
      ...{
        budget: { steps: 1, tokens: 1, flops: { exact: 1, paper: 1 } },
        source: null,
        notes: [],
        settings: [],
        methods,
      },
    });
    return rows.map((row) => row[columns.indexOf("Ends against the best other")]);
  };

  it("says how far each method ends above or below the best of the others, by the means over its seeds", () => {
    const [scratch, first, second] = [method("scratch", 3.9), method("direct", 3.81, 3.83), method("aki", 3.79)];
    expect(columnOf(scratch, first, second)).toEqual(["0.110 above", "0.030 above", "0.030 below"]);
    expect(columnOf(scratch)).toEqual(["–"]);
  });
});
