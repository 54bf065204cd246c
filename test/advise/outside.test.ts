/**
 * Advice on cases outside the grid whose answer is known: each study of this repository in turn is left out with all of its
 * cells, so that what is asked about differs in objective and architecture, in the size of the step or in what grows, and the
 * others must foretell what it measured. A claim is about a method: it is held against that method's saving there.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cellsOf } from "../../bench/claims.ts";
import { type Estimate, estimate, estimates } from "../../src/advise/advise.ts";
import { type GridCell, readGrid } from "../../src/advise/grid.ts";
import { studyResults } from "../../src/study/results.ts";
import { openStudy, stateOf } from "../../src/study/run.ts";
import { loadStudy } from "../../src/study/settings.ts";
import { packageRoot } from "../../src/util/paths.ts";

/** A study under way has no study.json in docs/results; its records say as much. */
async function underWay(name: string): Promise<readonly GridCell[]> {
  const records = join(packageRoot(), "docs", "results", name, "records", "inputs.json");
  if (!existsSync(records)) return [];
  const study = await loadStudy(join(packageRoot(), "bench", "study", `${name}.yaml`));
  return cellsOf(name, await studyResults(await stateOf(await openStudy(study))));
}

interface Case {
  readonly cell: GridCell;
  readonly measured: number;
  /** From the other studies. */
  readonly foretold: Estimate;
}

/** Studies of one network at several budgets would be each other's answer: they are left out together. */
const networkOf = ({ architecture, to }: GridCell) => JSON.stringify([architecture, to]);

/** Every saving of a left-out study. @param by what is held against it; undefined: nothing can be */
function casesOf(
  grid: readonly GridCell[],
  by: (cell: GridCell, ...asked: Parameters<typeof estimates>) => Estimate | undefined,
): readonly Case[] {
  return grid.flatMap((cell) => {
    const others = grid.filter((other) => other.study !== cell.study && networkOf(other) !== networkOf(cell));
    return (["reuse", "all-in"] as const).flatMap((counts): Case[] => {
      const measured = counts === "reuse" ? cell.reuse?.mean : cell.allIn?.mean;
      const foretold = measured === undefined ? undefined : by(cell, cell, others, counts);
      return measured === undefined || foretold === undefined ? [] : [{ cell, measured, foretold }];
    });
  });
}

const share = (cases: readonly Case[]) =>
  cases.filter(({ measured, foretold: { low, high } }) => measured >= low && measured <= high).length / cases.length;

const all = Promise.all([readGrid(), underWay("gpt-8")]).then((parts) => parts.flat());

describe("advice on a study that is left out", () => {
  it("has a line that holds eight of ten savings there, whatever the method, of sources and of growth in the run", async () => {
    const grid = await all;
    const cases = casesOf(grid, (_, ...asked) => estimate(...asked));
    expect(cases.length).toBeGreaterThan(40);
    expect(share(cases)).toBeGreaterThanOrEqual(0.8);
    const inRun = cases.filter(({ cell }) => cell.reuse === null);
    expect(inRun.length).toBeGreaterThanOrEqual(9);
    expect(share(inRun)).toBeGreaterThanOrEqual(0.8);
  });

  it("holds what was measured there in eight cases of ten, for either count, and says how far away it is", async () => {
    const cases = casesOf(await all, (cell, ...asked) =>
      estimates(...asked).find(({ method }) => method === cell.method),
    );
    expect(new Set(cases.map(({ cell }) => cell.study)).size).toBeGreaterThanOrEqual(3);
    for (const counts of ["reuse", "all-in"]) {
      const own = cases.filter(({ foretold }) => foretold.counts === counts);
      expect(own.length).toBeGreaterThanOrEqual(10);
      expect(share(own), counts).toBeGreaterThanOrEqual(0.8);
    }
    for (const { foretold } of cases) {
      // Another network is never taken for the case itself.
      expect(foretold.nearest[0].apart).toBeGreaterThan(0.25);
      // Neither does it hold everything: what nothing was known of spreads twice as far.
      expect(foretold.high - foretold.low).toBeLessThan(1.5);
    }
  });
});
