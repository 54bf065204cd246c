import { describe, expect, it } from "vitest";
import { lossRange } from "../../src/report/chart.ts";
import { comparisonPicture, renderComparisonReport, savingsOf } from "../../src/report/comparison.ts";
import { compact, duration, flopsText, percent, tickLabels, ticks } from "../../src/report/format.ts";
import { renderRunReport } from "../../src/report/run.ts";
import { crossing, saving } from "../../src/report/saving.ts";
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
      { flops: 40, loss: 5 },
      { flops: 60, loss: 3 },
      { flops: 100, loss: 3.5 },
    ];
    expect(crossing(method, 4)).toBe(50);
    expect(saving(method, scratch, 25)).toEqual({ target: 4, reference: 100, reached: 50, reuse: 0.5, allIn: 0.25 });
  });
  it("is whole where the method starts at the target, and none where it never gets there", () => {
    expect(saving([{ flops: 0, loss: 3.9 }], scratch).reuse).toBe(1);
    expect(saving([{ flops: 200, loss: 4.1 }], scratch)).toMatchObject({ reached: null, reuse: null, allIn: null });
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
  it("a loss axis shows where curves differ, not where random weights start", () => {
    const curves = [Array.from({ length: 101 }, (_, i): [number, number] => [i, i === 0 ? 9 : 3 + 1 / i])];
    const [low, high] = lossRange(curves);
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
