import { describe, expect, it } from "vitest";
import { closeRange, legend, wholeRange } from "../../src/report/chart.ts";
import { comparisonPicture, renderComparisonReport, savingsOf } from "../../src/report/comparison.ts";
import { compact, duration, flopsText, percent, tickLabels, ticks } from "../../src/report/format.ts";
import { crosses, Room } from "../../src/report/place.ts";
import { renderRunReport } from "../../src/report/run.ts";
import { crossing, saving } from "../../src/report/saving.ts";
import { renderWatch } from "../../src/report/watch.ts";
import { comparison, curve } from "./sample.ts";

describe("a saving", () => {
  const scratch = [
    { flops: 0, loss: 8 },
    { flops: 50, loss: 5 },
    { flops: 100, loss: 4 },
  ];
  it("is taken where the curve crosses the reference's final loss, between evaluations", () => {
    const method = [
      { flops: 0, loss: 6 },
      { flops: 46, loss: 5 },
      { flops: 54, loss: 3 },
      { flops: 100, loss: 3.5 },
    ];
    expect(crossing(method, 4)).toBe(50);
    const found = saving(method, scratch, 25);
    expect(found).toEqual({ target: 4, reference: 100, reached: 50, coarse: false, reuse: 0.5, allIn: 0.25 });
  });
  it("has no figure where the evaluations around the crossing lie more than a tenth of the reference apart", () => {
    const method = (apart: number) => [
      { flops: 40, loss: 5 },
      { flops: 40 + apart, loss: 3 },
    ];
    expect(saving(method(10), scratch).reuse).toBeCloseTo(0.55, 12);
    expect(saving(method(10.1), scratch)).toMatchObject({ reached: null, reuse: null, allIn: null, coarse: true });
    // Measured there: nothing lies between.
    const on = [
      { flops: 0, loss: 6 },
      { flops: 50, loss: 4 },
    ];
    expect(saving(on, scratch)).toMatchObject({ reached: 50, coarse: false });
  });
  it("is whole where the method starts at the target, and none where it never gets there", () => {
    expect(saving([{ flops: 0, loss: 3.9 }], scratch).reuse).toBe(1);
    expect(saving([{ flops: 200, loss: 4.1 }], scratch)).toMatchObject({ reached: null, reuse: null, coarse: false });
  });
  it("is negative where the method costs more", () => {
    const slow = [
      { flops: 0, loss: 8 },
      { flops: 200, loss: 4 },
    ];
    expect(saving(slow, scratch).reuse).toBe(-1);
  });
  it("of the reference against itself is nothing", () => {
    expect(saving(scratch, scratch).reuse).toBe(0);
  });
});

describe("numbers", () => {
  it("read well", () => {
    expect(compact(1_234_567)).toBe("1.23M");
    expect(compact(999_999)).toBe("1M");
    expect(compact(12)).toBe("12");
    expect(flopsText(3.4211e13)).toBe("3.42 × 10¹³");
    expect(percent(-0.0512)).toBe("−5.1 %");
    expect(duration(3725)).toBe("1 h 2 min");
  });
  it("ticks are round and labels of one axis have the same decimals", () => {
    const { values, step } = ticks(2.37, 4.9, 6);
    expect(values).toEqual([2.5, 3, 3.5, 4, 4.5]);
    expect(tickLabels(values, step, 4.9).labels).toEqual(["2.5", "3.0", "3.5", "4.0", "4.5"]);
    const large = ticks(0, 3.2e12, 7);
    expect(tickLabels(large.values, large.step, 3.2e12)).toEqual({
      labels: ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"],
      unit: "10¹²",
    });
  });
  it("a loss axis shows whole curves, or where they differ", () => {
    const curves = [Array.from({ length: 101 }, (_, i): [number, number] => [i, i === 0 ? 9 : 3 + 1 / i])];
    expect(wholeRange(curves)[1]).toBeGreaterThanOrEqual(9);
    const [low, high] = closeRange(curves);
    expect(high).toBeLessThan(3.5);
    expect(low).toBeLessThan(3.01);
    expect(low).toBeGreaterThan(2.8);
  });
});

/** Every element that was opened is closed, in order; nothing outside the page is asked for. */
function wellFormed(html: string) {
  const open: string[] = [];
  const empty = new Set(["meta", "input", "!doctype"]);
  for (const [, closing, name, selfClosing] of html.matchAll(
    /<(\/?)([a-zA-Z!][a-zA-Z0-9]*)(?:[^<>"]|"[^"]*")*?(\/?)>/g,
  )) {
    if (empty.has(name.toLowerCase()) || selfClosing !== "") continue;
    if (closing === "") open.push(name);
    else expect(open.pop()).toBe(name);
  }
  expect(open).toEqual([]);
  expect(html).not.toMatch(/https?:|src=|@import|<script|<link/);
  expect(html).not.toMatch(/NaN|Infinity|undefined|null/);
  const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
  expect(new Set(ids).size).toBe(ids.length);
}

describe("the comparison", () => {
  const html = renderComparisonReport(comparison());
  it("is one whole page that asks for nothing", () => wellFormed(html));
  it("escapes what comes from data", () => {
    expect(html).not.toContain("<FPI>");
    expect(html).toContain("grown, at once &lt;FPI&gt;");
    expect(html).toContain("# &lt;tag&gt;");
  });
  it("says each saving, and the same as the computation", () => {
    const [reference, two, one] = savingsOf(comparison());
    expect(reference).toBeNull();
    expect(html).toContain(`${percent(two?.reuse ?? 0)} fewer FLOPs`);
    expect(html).toContain(`${percent(one?.reuse ?? 0)} fewer FLOPs`);
    expect(html).toContain(`${percent(two?.reuse ?? 0)} saved`);
    expect(html).toContain(`${percent(two?.allIn ?? 0)} with the source`);
  });
  it("has its curves as a picture of its own", () => {
    const svg = comparisonPicture(comparison());
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www.w3.org\/2000\/svg" [^>]*><style>/);
    expect(svg).toContain("--c1:");
    wellFormed(svg.replace(/ xmlns="[^"]*"/, ""));
  });
  it("shows whole curves first, a closer view, and lets a curve be switched off", () => {
    expect(html).toMatch(/id="loss-view-whole" checked/);
    expect(html).toContain('id="loss-view-close"');
    for (const k of [0, 1, 2]) {
      expect(html).toContain(`id="loss-n${k}" checked`);
      expect(html).toContain(`#loss:has(#loss-n${k}:not(:checked)) .k${k}{display:none}`);
      expect(html).toContain(`<g class="curve k${k}">`);
    }
  });
  it("says so where evaluations are too far apart to interpolate", () => {
    const data = comparison();
    const sparse = data.runs.map((run) => ({ ...run, evaluations: run.evaluations.filter((_, i) => i % 10 === 0) }));
    const page = renderComparisonReport({ ...data, runs: sparse });
    expect(page).toContain("evaluations too far apart");
    expect(page).toContain("no figure");
    expect(page).not.toContain("fewer FLOPs");
    wellFormed(page);
  });
  it("says so where a run does not get there", () => {
    const data = comparison();
    const [reference, two] = data.runs;
    const worse = { ...two, evaluations: two.evaluations.map((point) => ({ ...point, loss: point.loss + 3 })) };
    const page = renderComparisonReport({ ...data, runs: [reference, worse] });
    expect(page).toContain("no saving");
    expect(page).toContain("not reached");
    expect(page).not.toContain(" saved<");
    wellFormed(page);
  });
});

describe("many curves", () => {
  it("are told apart by colour, dashes and marker together", () => {
    const looks = Array.from({ length: 19 }, (_, i) => {
      const [line] = legend("x", [{ name: "one", colour: i, points: [] }]).match(/<svg.*<\/svg>/) ?? [];
      return line;
    });
    expect(new Set(looks).size).toBe(19);
  });
  it("keep labels off them where there is room", () => {
    const room = new Room([
      [
        [0, 50],
        [100, 50],
      ],
    ]);
    const at = (y: number) => ({ x: 40, y, width: 20, height: 10 });
    expect(room.take([at(45), at(60), at(20)]).y).toBe(60);
    // The place is taken now.
    expect(room.take([at(45), at(62), at(20)]).y).toBe(20);
    // Below the picture's end is no room.
    expect(new Room([], 70).take([at(65), at(40)]).y).toBe(40);
    // A segment beside the box, and one that only would meet it if it went on.
    expect(crosses([0, 0], [30, 30], at(60))).toBe(false);
    expect(crosses([0, 0], [100, 100], at(45))).toBe(true);
    expect(crosses([50, 0], [50, 100], at(45))).toBe(true);
  });
});

describe("runs side by side", () => {
  it("draw all of what was measured along the steps, below zero too", () => {
    const run = { ...curve({ name: "run", from: 8, to: 3, pace: 0.2 }), facts: [] };
    const html = renderWatch([{ ...run, symmetry: [0, 100, 200].map((step, i) => [step, -0.01 / (i + 1)]) }], false);
    const [, picture] = html.split("<h3>Likeness of the copies</h3>");
    const [, points] = /<polyline points="([^"]*)"/.exec(picture) ?? [];
    const heights = points.split(" ").map((point) => Number(point.split(",")[1]));
    expect(heights).toHaveLength(3);
    for (const y of heights) {
      expect(y).toBeGreaterThanOrEqual(30);
      expect(y).toBeLessThanOrEqual(154);
    }
    wellFormed(html);
  });
});

describe("a run's report", () => {
  const data = {
    title: "runs/bert-wide",
    facts: [["Model", "BERT"]] as const,
    listings: [{ title: "run.yaml", text: "seed: 1" }],
  };
  it("shows losses, rate and norm, and is one whole page", () => {
    const html = renderRunReport({ ...data, curve: curve({ name: "run", from: 8, to: 3, pace: 0.2, stage2: 50 }) });
    wellFormed(html);
    expect(html).toContain("stage 2: all of it");
    expect(html).toContain("Learning rate");
    expect(html).toContain("Perplexity");
  });
  it("of a run that has only begun is a page all the same", () => {
    const begun = { name: "run", log: [], evaluations: [], stages: [] };
    const html = renderRunReport({ ...data, curve: begun });
    wellFormed(html);
    expect(html).toContain("Nothing has been evaluated yet");
  });
});
