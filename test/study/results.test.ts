import { describe, expect, it } from "vitest";
import type { EvaluationPoint } from "../../src/report/data.ts";
import { percent } from "../../src/report/format.ts";
import { renderStudyReport } from "../../src/report/study.ts";
import type { StudyMethodResult, StudyResults, StudyRun } from "../../src/report/study-data.ts";
import { resultTable, spreadText, studyMarkdown } from "../../src/report/study-tables.ts";
import { savingSpread, spreadOf } from "../../src/study/results.ts";

/** A run from (FLOPs, loss) points; the paper's count is twice, time a tenth. */
function run(points: readonly (readonly [number, number])[], more: Partial<StudyRun> = {}): StudyRun {
  const evaluations = points.map(
    ([exact, loss], step): EvaluationPoint => ({
      ...{ step, tokens: step, flops: { exact, paper: 2 * exact }, seconds: exact / 10, loss },
    }),
  );
  const facts = { seed: 1, rate: 1e-3, cell: "run-x", engine: "e", machine: "m", growths: [] };
  const costs = [{ name: "full", start: 0, steps: 4, tokens: 4, flops: { exact: 400, paper: 800 }, seconds: 40 }];
  return { ...facts, costs, evaluations, ...more };
}

const exact = (point: EvaluationPoint) => point.flops.exact;
const scratch = run([
  [0, 9],
  [200, 5],
  [400, 4],
]);

describe("a saving", () => {
  it("is read off where the curve crosses the reference's end, between evaluations", () => {
    // 4 lies a quarter of the way from 4.05 at 120 to 3.85 at 140: at 125 of 400.
    const grown = run([
      [0, 6],
      [100, 4.2],
      [120, 4.05],
      [140, 3.85],
    ]);
    const { reuse, allIn, reached } = savingSpread([grown], [scratch], exact, 75);
    expect(reached.mean).toBeCloseTo(125, 9);
    expect(reuse.mean).toBeCloseTo(1 - 125 / 400, 12);
    expect(allIn?.mean).toBeCloseTo(1 - 200 / 400, 12);
    expect(savingSpread([grown], [scratch], (point) => point.flops.paper, 150).allIn?.mean).toBeCloseTo(0.5, 12);
    expect(savingSpread([grown], [scratch], (point) => point.seconds ?? 0, undefined).allIn).toBe(null);
  });

  it("over seeds is that of all pairs", () => {
    const other = run([
      [0, 9],
      [400, 4.2],
    ]);
    const grown = run([
      [0, 6],
      [100, 4.2],
      [120, 4.05],
      [140, 3.85],
    ]);
    const { reuse } = savingSpread([grown], [scratch, other], exact, undefined);
    expect(reuse).toMatchObject({ count: 2, missing: 0 });
    expect(reuse.mean).toBeCloseTo((0.6875 + 0.75) / 2, 12);
    expect([reuse.low, reuse.high]).toEqual([expect.closeTo(0.6875, 12), expect.closeTo(0.75, 12)]);
    expect(spreadText(reuse, percent)).toBe("71.9 % (68.8 – 75.0 %)");
  });

  it("is not made up where the loss was never reached, or one run did not get there", () => {
    const good = run([
      [0, 6],
      [80, 4.5],
      [100, 3],
    ]);
    const bad = run([
      [0, 6],
      [400, 4.001],
    ]);
    const { reuse, reached } = savingSpread([good, bad], [scratch], exact, undefined);
    expect(reuse).toMatchObject({ mean: null, count: 2, missing: 1 });
    expect(reached.mean).toBe(null);
    expect(spreadText(reuse, percent)).toBe("not reached in 1 of 2");
    expect(spreadText(savingSpread([bad], [scratch], exact, undefined).reuse, percent)).toBe("not reached");
    const gone = run([[0, 6]], { diverged: "step 3 gave a loss that is not a number" });
    expect(savingSpread([gone], [scratch], exact, undefined).reuse.mean).toBe(null);
    expect(spreadOf([])).toEqual({ mean: null, low: null, high: null, count: 0, missing: 0 });
  });
});

describe("the results", () => {
  const method = (
    name: string,
    runs: readonly StudyRun[],
    more: Partial<StudyMethodResult> = {},
  ): StudyMethodResult => {
    const of = (on: (point: EvaluationPoint) => number) => savingSpread(runs, [scratch], on, 10);
    const savings = { exact: of(exact), paper: of((p) => p.flops.paper), time: of((p) => p.seconds ?? 0) };
    const words = { name, label: `<${name}>`, about: "words", settings: [{ title: "Settings", text: "a: <b>" }] };
    const trials = [{ rate: 1e-3, loss: 4, diverged: false }];
    const final = spreadOf(runs.map((one) => one.evaluations.at(-1)?.loss ?? null));
    return {
      ...words,
      reference: false,
      grown: true,
      paper: 0.452,
      trials,
      rate: 1e-3,
      runs,
      missing: [],
      final,
      savings,
      annealed: [],
      fair: null,
      ...more,
    };
  };
  const results: StudyResults = {
    title: "A <study>",
    about: [],
    discussion: ["Less is <more>."],
    progress: { done: 3, all: 5 },
    accounting: "exact",
    budget: { steps: 4, tokens: 4, flops: { exact: 400, paper: 800 } },
    source: null,
    methods: [
      method("scratch", [scratch], { reference: true, paper: null, savings: null }),
      method("never", [
        run([
          [0, 6],
          [400, 4.5],
        ]),
      ]),
      method("soon", [], { savings: null, missing: [1] }),
      method("good", [
        run([
          [50, 4.5],
          [80, 3.6],
        ]),
      ]),
      method("sparse", [
        run([
          [0, 6],
          [100, 3],
        ]),
      ]),
    ],
    facts: [],
    notes: ["a note"],
    settings: [],
  };

  it("say what is missing, in the table and on the page", () => {
    const rows = Object.fromEntries(resultTable(results).rows.map((row) => [row[0], row[5]]));
    expect(rows).toEqual({
      "<scratch>": "reference",
      "<never>": "not reached",
      "<soon>": "to come",
      "<good>": "83.3 %",
      "<sparse>": "evaluations too far apart",
    });
    const markdown = studyMarkdown(results);
    expect(markdown).toContain("**3 of 5 runs are done");
    expect(markdown).toContain("- a note");
    const html = renderStudyReport(results);
    expect(html).toContain("not reached");
    expect(html).toContain("83.3 %");
    // The table's order is the chart's: by where curves end, from the top.
    const order = ["never", "scratch", "good", "sparse", "soon"].map((name) =>
      html.indexOf(`<th scope="row">&lt;${name}`),
    );
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(html).toContain("Still to come: seed 1.");
    expect(markdown.endsWith("## What its author reads in it\n\nLess is <more>.\n")).toBe(true);
    expect(html).toContain("<p>Less is &lt;more&gt;.</p>");
  });

  it("are one file without scripts, nothing from elsewhere, and what comes from data is escaped", () => {
    const html = renderStudyReport(results);
    expect(html).not.toMatch(/<script|https?:|@import|url\((?!#)|<link/);
    expect(html).not.toMatch(/<(study|scratch|never|soon|good|sparse|b)>/);
    expect(html).not.toMatch(/NaN|undefined|Infinity/);
    expect(renderStudyReport(results)).toBe(html);
    const open = html.match(/<details>/g) ?? [];
    expect(open).toHaveLength((html.match(/<\/details>/g) ?? []).length);
  });
});
