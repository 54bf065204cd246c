/**
 * Advice on made-up grids whose truth is known: its intervals hold what was left out and what lies between, are wide where
 * nothing is near, and what it says follows from them.
 */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { adviceLine, estimate, type Setting } from "../../src/advise/advise.ts";
import { type GridCell, readGrid } from "../../src/advise/grid.ts";
import { createModel } from "../../src/model/create.ts";
import { RandomStream } from "../../src/util/random.ts";
import { cli, temporaryFolder } from "../support.ts";
import { gpt2Config } from "../train/data.ts";

type Truth = (setting: Setting) => number;

/** Shapes that a saving might have: falling with tokens or not, peaked at a factor of growth, negative for some. */
const truths: readonly Truth[] = [
  ({ from, to, tokens }) => (0.6 * (1 - from.parameters / to.parameters)) / (1 + tokens / to.parameters / 60),
  ({ from, to, tokens, dropout }) =>
    0.5 -
    0.25 * (Math.log2(to.parameters / from.parameters) - 1) ** 2 -
    0.05 * Math.log2(tokens / to.parameters / 5) -
    dropout,
  ({ to, from, tokens }) => 0.3 - (0.1 * (to.layers / from.layers) * tokens) / to.parameters / 20,
];

function setting(growth: number, deep: number, perParameter: number, dropout: number): Setting {
  const to = { layers: 8, hidden: 96, parameters: 300_000 };
  const layers = 8 / growth ** deep;
  const hidden = 96 / growth ** ((1 - deep) / 2);
  const from = { layers, hidden, parameters: 300_000 / growth };
  return { architecture: "gpt2", objective: "clm", dropout, from, to, tokens: perParameter * 300_000 };
}

function cell(at: Setting, mean: number, more: Partial<GridCell> = {}): GridCell {
  const reuse = { mean, low: null, high: null };
  return { ...at, study: "made up", method: "direct", reuse, allIn: null, measure: "annealed", ...more };
}

/** The grid: three growths, three kinds, four budgets, two rates of dropout, with noise of one seed. */
function gridOf(truth: Truth, seed: number): readonly GridCell[] {
  const random = new RandomStream(seed, "noise");
  let i = 0;
  const cells: GridCell[] = [];
  for (const growth of [1.5, 2, 4])
    for (const deep of [0, 0.5, 1])
      for (const tokens of [5, 10, 20, 40])
        for (const dropout of [0, 0.1]) {
          const at = setting(growth, deep, tokens, dropout);
          cells.push(cell(at, truth(at) + 0.03 * random.normal(i++)));
        }
  return cells;
}

describe("advice", () => {
  it.each(truths.map((truth, i) => [i, truth] as const))("holds what was left out of a grid: truth %i", (i, truth) => {
    const grid = gridOf(truth, 10 + i);
    let held = 0;
    for (const left of grid) {
      const { low, high } = estimate(
        left,
        grid.filter((one) => one !== left),
        "reuse",
      );
      const { mean = Number.NaN } = left.reuse ?? {};
      if (mean >= low && mean <= high) held++;
    }
    expect(held / grid.length).toBeGreaterThanOrEqual(0.8);
  });

  it("holds the truth between and around the cells in eight cases of ten, whatever the truth", () => {
    const random = new RandomStream(3, "cases");
    let held = 0;
    let all = 0;
    truths.forEach((truth, t) => {
      const grid = gridOf(truth, 20 + t);
      for (let i = 0; i < 40; i++, all++) {
        const between = (low: number, high: number, at: number) =>
          low * (high / low) ** random.uniform(100 * t + 4 * i + at);
        const at = setting(
          between(1.3, 5, 0),
          random.uniform(1e5 + all),
          between(4, 60, 1),
          0.1 * random.uniform(2e5 + all),
        );
        const measured = truth(at) + 0.03 * random.normal(3e5 + all);
        const { low, high } = estimate(at, grid, "reuse");
        if (measured >= low && measured <= high) held++;
      }
    });
    expect(held / all).toBeGreaterThanOrEqual(0.8);
  });

  it("is as wide as it must be where nothing is near, and says so", () => {
    const grid = gridOf(truths[0], 5);
    const near = estimate(setting(2, 0, 20, 0), grid, "reuse");
    const to = { layers: 48, hidden: 4096, parameters: 7e9 };
    const large = { ...setting(2, 0, 20, 0), from: { ...to, hidden: 2048, parameters: 2e9 }, to, tokens: 3e11 };
    const far = estimate(large, grid, "reuse");
    expect(near.high - near.low).toBeLessThan(0.2);
    expect(near).toMatchObject({ verdict: "grow", method: "direct", cells: 72 });
    expect(near.nearest[0].apart).toBe(0);
    expect(far.high - far.low).toBeGreaterThan(0.7);
    expect(far.verdict).toBe("unknown");
    const told = grid.map((one) => ({ ...one, method: "direct-early", label: "DirectCopy, early decay" }));
    const named = estimate(setting(2, 0, 20, 0), told, "reuse");
    expect(named).toMatchObject({ method: "direct-early", label: "DirectCopy, early decay" });
    expect(adviceLine(named)).toContain("growing (DirectCopy, early decay) saves");
    expect(adviceLine(far)).toMatch(/^nothing near was measured: .* the nearest far away/);
    expect(estimate(setting(2, 0, 20, 0), [], "all-in")).toMatchObject({ method: null, cells: 0, nearest: [] });
  });

  it("says to train from scratch where growing did not save, and takes the method that saves most surely", () => {
    const at = setting(2, 0, 20, 0);
    const bad = gridOf(() => -0.1, 6);
    expect(estimate(at, bad, "reuse").verdict).toBe("scratch");
    const better = gridOf(() => 0.2, 7).map((one) => ({ ...one, method: "other" }));
    expect(estimate(at, [...bad, ...better], "reuse")).toMatchObject({ method: "other", verdict: "grow" });
    const charged = bad.map((one) => ({ ...one, allIn: { mean: -0.3, low: -0.32, high: -0.28 } }));
    expect(adviceLine(estimate(at, charged, "all-in"))).toMatch(/^train from scratch: .*everything charged/);
  });

  it("comes with a grid, and answers from the command line", async () => {
    expect((await readGrid()).length).toBeGreaterThan(20);
    const folder = temporaryFolder();
    const source = join(folder, "source");
    await createModel({ ...gpt2Config, n_layer: 2 }, "the test", source, { seed: 1 });
    const run = cli(["advise", source, "--hidden", "24", "--tokens", "1M", "--json"]);
    expect(run.code, run.stderr).toBe(0);
    const { setting: asked, estimates } = JSON.parse(run.stdout);
    expect(asked).toMatchObject({ architecture: "gpt2", objective: "clm", tokens: 1e6, to: { hidden: 24, layers: 2 } });
    expect(estimates.map(({ counts }: { counts: string }) => counts)).toEqual(["reuse", "all-in"]);
    const text = cli(["advise", source, "--layers", "4", "--tokens", "20M"]);
    // In a reader's words, not by the name in a study's file.
    expect(text.stdout).not.toMatch(/growing \([a-z]+(-[a-z]+)+\)/);
    expect(text.stdout.split("\n")[0]).toMatch(/saves about .* the source being free .* cells measured, the nearest/);
    expect(text.stdout).toContain("claimed: aki, bert2BERT (ACL 2022): 47 %");
    expect(cli(["advise", source, "--tokens", "many", "--hidden", "24"]).code).toBe(2);
  });
});
