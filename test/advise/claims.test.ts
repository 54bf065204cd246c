/** The cells that advice rests on, and the table of claims: from studies with known savings, and as they are committed. */
import { cpSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { cellsOf, claimsTable, write } from "../../bench/claims.ts";
import type { StudyMethodResult, StudyResults } from "../../src/report/study-data.ts";
import { budgetTable } from "../../src/report/study-tables.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";

const none = { mean: null, low: null, high: null, count: 0, missing: 0 };
const to = { layers: 8, hidden: 96, parameters: 1000 };
const shares = [0.25, 0.5, 1];

/** A method whose annealed loss at a share of the budget is that of scratch at `times` as much. */
function method(name: string, times: number, more: Partial<StudyMethodResult> = {}): StudyMethodResult {
  const points = shares.map((share) => {
    const flops = { exact: 1e9 * share, paper: 1e9 * share };
    return { share, step: 100 * share, tokens: 8000 * share, flops, seconds: 1, loss: 5 - Math.log(share * times) };
  });
  return {
    ...{ name, label: name, about: "", reference: false, grown: false, paper: null, trials: [], rate: 1e-3, runs: [] },
    ...{ missing: [], final: none, savings: null, fair: null, settings: [] },
    ...{ begins: { layers: 2, hidden: 96, parameters: 400 }, annealed: [{ seed: 1, points }] },
    ...more,
  };
}

const source = { loss: 5, flops: { exact: 2e8, paper: 2e8 }, seconds: 1 };
const results = (methods: readonly StudyMethodResult[]): StudyResults => ({
  ...{ title: "", about: [], discussion: [], progress: { done: 1, all: 1 }, accounting: "exact", facts: [], notes: [] },
  ...{ budget: { steps: 100, tokens: 8000, flops: { exact: 1e9, paper: 1e9 } }, settings: [], methods },
  setting: { architecture: "gpt2", objective: "clm", dropout: 0, from: to, to, tokens: 8000 },
  source: {
    ...source,
    run: { seed: 0, rate: 0, cell: "", engine: "", machine: "", evaluations: [], costs: [], growths: [] },
  },
});

const scratch = method("scratch", 1, { reference: true, begins: to });

describe("a study's cells", () => {
  it("are a saving for each of scratch's budgets that a method's curve reaches, by how it counts", () => {
    const cells = cellsOf("made-up", results([scratch, method("midas", 1.6), method("direct", 1.6, { grown: true })]));
    const of = (name: string) => cells.filter((cell) => cell.method === name);
    // The smallest budget's loss is below what the cheapest branch of the others has already: no figure.
    expect(of("midas").map(({ tokens }) => tokens)).toEqual([4000, 8000]);
    for (const { allIn, reuse, from } of of("midas")) {
      expect(reuse).toBe(null);
      expect(allIn?.mean).toBeCloseTo(1 - 1 / 1.6, 9);
      expect(from.parameters).toBe(400);
    }
    for (const { tokens, allIn, reuse } of of("direct")) {
      expect(reuse?.mean).toBeCloseTo(1 - 1 / 1.6, 9);
      expect(allIn?.mean).toBeCloseTo(1 - 1 / 1.6 - (0.2 * 8000) / tokens, 9);
    }
  });

  it("stand in a study's tables by what the target has seen", () => {
    const { columns, rows } = budgetTable(
      results([scratch, method("midas", 1.6), method("direct", 1.6, { grown: true })]),
    );
    // 2,000, 4,000 and 8,000 tokens on 1,000 parameters; 1 − 1 / 1.6, and a fifth of the whole budget is the source's.
    expect(columns).toEqual(["Method", "2 tokens", "4 tokens", "8 tokens"]);
    expect(rows).toEqual([
      ["midas", "below it at the least budget", "37.5 %", "37.5 %"],
      ["direct", "below it at the least budget", "37.5 %, all-in −2.5 %", "37.5 %, all-in 17.5 %"],
    ]);
  });

  it("are one by the crossing where there are no branches, and none of what does not grow", () => {
    const spread = (mean: number | null) => ({ mean, low: mean, high: mean, count: 1, missing: 0 });
    const axis = { reuse: spread(0.4), allIn: spread(-0.1), reached: spread(6e8) };
    const crossed = { annealed: [], savings: { exact: axis, paper: axis, time: axis } };
    const cells = cellsOf("s", results([{ ...scratch, annealed: [] }, method("fpi", 1, { ...crossed, grown: true })]));
    expect(cells).toMatchObject([{ measure: "crossing", tokens: 8000, reuse: { mean: 0.4 }, allIn: { mean: -0.1 } }]);
    expect(cellsOf("s", results([scratch, method("linear", 1, { begins: to })]))).toEqual([]);
  });

  it("stand in a table beside the claims, and what was not measured says so", () => {
    const table = claimsTable([["made-up", results([scratch, method("midas", 1.6)])]]).split("\n");
    expect(table.find((row) => row.includes("MIDAS"))).toMatch(
      /28\.6 %.* \| all-in \| no figure \| .* \| made-up: 2\.5 ×/,
    );
    expect(table.find((row) => row.includes("SPARKLING"))).toContain("not measured yet");
  });
});

it("grid.json, its picture and claims.md are what `npm run claims` makes of the committed studies", async () => {
  const committed = join(packageRoot(), "docs", "results");
  const folder = temporaryFolder();
  for (const name of readdirSync(committed, { recursive: true, encoding: "utf8" })) {
    if (basename(name) !== "study.json") continue;
    mkdirSync(join(folder, dirname(name)), { recursive: true });
    cpSync(join(committed, name), join(folder, name));
  }
  await write(folder);
  for (const name of ["grid.json", "grid.svg", "claims.md"]) {
    expect(readFileSync(join(folder, name), "utf8"), `${name}: npm run claims`).toBe(
      readFileSync(join(committed, name), "utf8"),
    );
  }
});
