/** The studies of this repository as they stand: what was run and recorded is what their files still mean. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openStudy, runsIn, stateOf } from "../../src/study/run.ts";
import { loadStudy } from "../../src/study/settings.ts";
import { packageRoot } from "../../src/util/paths.ts";

/** Where records stand, and the studies that they are of. */
const studies: readonly (readonly [string, readonly string[]])[] = [
  ["bert-mini", ["bert-mini", "bert-half-depth"]],
  ["gpt-mini", ["gpt-mini"]],
  ["gpt-8", ["gpt-8"]],
  ["gpt-8-long", ["gpt-8-long"]],
  ["encoder-8", ["encoder-8", "downstream"]],
];

describe.each(studies)("%s", (name, files) => {
  it("knows every run that was recorded, for as many FLOPs as it took", async () => {
    const at = (file: string) => join(packageRoot(), "bench", "study", `${file}.yaml`);
    const states = await Promise.all(files.map(async (file) => stateOf(await openStudy(await loadStudy(at(file))))));
    const all = states.flatMap((state) => runsIn(state));
    // A source that no method of today grows may have been made before.
    const known = new Set([...all.map(({ cell }) => cell.id), ...states.map(({ cells }) => cells.source.id)]);
    const records = readdirSync(join(packageRoot(), "docs", "results", name, "records"));
    const runs = records.filter((file) => file.startsWith("run-")).map((file) => file.replace(".json", ""));
    expect(runs.filter((id) => !known.has(id))).toEqual([]);
    let compared = 0;
    for (const { cell, record } of all) {
      const end = record?.evaluations.at(-1);
      if (end === undefined || record?.diverged !== undefined) continue;
      // Sub-models are drawn, and what a step of each costs may be counted anew: to a hundredth.
      expect(end.step, cell.title).toBe(cell.steps);
      expect(Math.abs(end.flops.exact / cell.flops.exact - 1), cell.title).toBeLessThan(0.01);
      compared++;
    }
    expect(compared).toBeGreaterThan(15);
  });
});
