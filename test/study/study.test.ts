import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeResults } from "../../src/study/results.ts";
import { openStudy, runStudy, stateOf } from "../../src/study/run.ts";
import { loadStudy } from "../../src/study/settings.ts";
import { cli, temporaryFolder } from "../support.ts";
import { records, studyYaml, timeless, writeStudy } from "./support.ts";

const methods = `
  scratch: {lr: [1e-2, 2e-2], seeds: [1, 2]}
  aki-two-stage:
  stackbert:
  wild: {growth: {method: direct}, lr: 1e30}
`;

describe("a study", () => {
  it("runs every cell once, shares what methods have in common, and writes its results", async () => {
    const folder = temporaryFolder();
    const path = await writeStudy(folder, studyYaml(methods));
    const begun: string[] = [];
    const state = await runStudy(await loadStudy(path), { begin: (cell) => begun.push(cell.title) });
    expect(begun[0]).toBe("the source");
    expect(begun.slice(1)).toEqual([
      "scratch, seed 1, rate 0.01",
      ...["the growth of aki-two-stage, seed 1", "aki-two-stage, seed 1"],
      "stackbert, seed 1",
      ...["the growth of wild, seed 1", "wild, seed 1"],
      "scratch, seed 1, rate 0.02",
      expect.stringMatching(/^scratch, seed 2, rate 0.0[12]$/),
    ]);
    const { data, table, files } = await writeResults(state);
    for (const file of files) expect(existsSync(file)).toBe(true);
    expect(table).toContain("AKI, two stages");
    expect(data.progress).toEqual({ done: 7, all: 7 });
    expect(data.notes[0]).toMatch(/Knowing how often each token occurs, and no more, gives 3\.\d+: it is/);
    const result = Object.fromEntries(data.methods.map((method) => [method.name, method]));
    expect(result.scratch.runs.map((run) => run.seed)).toEqual([1, 2]);
    const losses = result.scratch.trials.map((trial) => trial.loss ?? 0);
    expect(result.scratch.rate).toBe(losses[0] <= losses[1] ? 1e-2 : 2e-2);
    // A rate that is no rate ends its own run and nothing else; nothing is made up of it.
    expect(result.wild.runs[0].diverged).toMatch(/not a number/);
    expect(result.wild.final).toMatchObject({ mean: null, missing: 1 });
    // What every plan spent is the budget, to a step and the draws of sub-models.
    for (const name of ["scratch", "aki-two-stage", "stackbert"]) {
      const [run] = result[name].runs;
      const spent = run.evaluations.at(-1)?.flops.exact ?? 0;
      expect(Math.abs(spent / data.budget.flops.exact - 1), name).toBeLessThan(0.06);
      const stages = run.costs.reduce((sum, cost) => sum + cost.flops.exact, 0);
      expect(stages).toBeCloseTo(spent, -1);
    }
    expect(result.stackbert.runs[0].growths.map((growth) => growth.stage)).toEqual(["whole"]);
    expect(result["aki-two-stage"].runs[0].growths[0].before).toBe(data.source?.loss);

    // Nothing is left to do, and the same results come of it.
    const again: string[] = [];
    const same = await writeResults(await runStudy(await loadStudy(path), { begin: (cell) => again.push(cell.title) }));
    expect(again).toEqual([]);
    expect(same.data).toEqual(data);

    // Without the heavy folders the records give the same tables, and only what has no record is run, its source anew.
    const kept = records(join(folder, "out", "records"));
    rmSync(join(folder, "out", "cells"), { recursive: true });
    rmSync(join(folder, "data"), { recursive: true });
    const fromRecords = await writeResults(await stateOf(await openStudy(await loadStudy(path))));
    expect(fromRecords.data).toEqual(data);
    await writeStudy(folder, studyYaml(`${methods}  fpi:\n`));
    const more: string[] = [];
    await runStudy(await loadStudy(path), { begin: (cell) => more.push(cell.title) });
    expect(more).toEqual(["the source", "the growth of fpi, seed 1", "fpi, seed 1"]);
    expect(records(join(folder, "out", "records"))).toMatchObject(kept);
    expect(readdirSync(join(folder, "out", "records"))).toHaveLength(10);
  });

  it("from the command line says what it will run, runs what is asked for, and prints the results as JSON", async () => {
    const folder = temporaryFolder();
    const path = await writeStudy(folder, studyYaml("  scratch:\n  aki: {lr: [1e-2, 2e-2], seeds: [3, 4]}\n"));
    const dry = cli(["study", path, "--dry-run", "--json"]);
    expect(dry.code, dry.stderr).toBe(0);
    const schedule = JSON.parse(dry.stdout);
    expect(schedule.runs.map((run: { title: string }) => run.title)).toEqual([
      ...["the source", "scratch, seed 1", "aki, seed 3, rate 0.01", "aki, seed 3, rate 0.02"],
    ]);
    expect(schedule.waiting).toEqual({ aki: [4] });
    expect(schedule.left.flops.exact).toBeGreaterThan(0);
    expect(existsSync(join(folder, "out"))).toBe(false);
    const run = cli(["study", path, "--only", "scratch", "--json"]);
    expect(run.code, run.stderr).toBe(0);
    const results = JSON.parse(run.stdout);
    expect(results.progress).toEqual({ done: 2, all: 5 });
    expect(results.methods[1].savings).toBe(null);
    const written = JSON.parse(readFileSync(join(folder, "out", "study.json"), "utf8"));
    expect(timeless(written.methods)).toEqual(timeless(results.methods));
    expect(cli(["study", path, "--only", "akki"]).stderr).toContain("the study has no method `akki`");
    expect(cli(["study", path, "--set", "methods.stakbert={}", "--dry-run"]).stderr).toContain(
      "did you mean `stackbert`?",
    );
    expect(cli(["study", path, "--set", "methods.own={growth: {method: akki}}", "--dry-run"]).stderr).toContain(
      "there is no method `akki`",
    );
  });
});
