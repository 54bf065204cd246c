import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Branches, branched } from "../../src/study/branches.ts";
import { cellFolder } from "../../src/study/build.ts";
import { writeResults } from "../../src/study/results.ts";
import { openStudy, runStudy, stateOf } from "../../src/study/run.ts";
import { scheduleOf } from "../../src/study/schedule.ts";
import { loadStudy } from "../../src/study/settings.ts";
import { PlanError, type StageSpec } from "../../src/train/plan/stage.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { temporaryFolder } from "../support.ts";
import { records, studyYaml, timeless, writeStudy } from "./support.ts";

const stage = (given: Partial<StageSpec>): StageSpec => ({ name: "s", head: true, optimizer: "keep", ...given });
const rule: Branches = { at: [0.25, 0.5, 1], cooldown: 0.2, decay: "sqrt", stages: "shared" };
const cost = (exact: number) => ({ exact, paper: exact });

describe("branches", () => {
  it("end where their share of the budget does, and share every step of the plan before", () => {
    const plan = [stage({ share: 0.2 }), stage({})];
    // 20 cheap steps and 80 dear ones.
    const made = branched(plan, [cost(1), cost(10)], 100, 820, "exact", rule);
    expect(made.trunk.steps).toBe(80);
    expect(made.branches.map(({ plan }) => plan.map((one) => one.steps))).toEqual(Array(3).fill([20, undefined]));
    expect(made.branches).toMatchObject([
      { share: 0.25, from: 30, steps: 38, cooldown: 8 },
      { share: 0.5, from: 47, steps: 59, cooldown: 12 },
      { share: 1, from: 80, steps: 100, cooldown: 20 },
    ]);
  });

  it("with stages of their own grow where their own length says, and share the trunk up to there", () => {
    const plan = [stage({ name: "small", share: 0.8 }), stage({ name: "whole" })];
    // 80 cheap steps and 20 dear ones; a quarter of the budget pays 20 and 5.
    const made = branched(plan, [cost(1), cost(10)], 100, 280, "exact", { ...rule, stages: "own" });
    expect(made.branches.map(({ share, from, steps, plan }) => [share, from, steps, plan[0].steps])).toEqual([
      [0.25, 20, 25, 20],
      [0.5, 40, 50, 40],
      [1, 80, 100, 80],
    ]);
    expect(made.trunk.steps).toBe(80);
    expect(made.trunk.plan.map(({ name }) => name)).toEqual(["small"]);
    const shared = branched(plan, [cost(1), cost(10)], 100, 280, "exact", rule);
    expect(shared.branches.map(({ share }) => share)).toEqual([1]);
  });

  it("that would anneal before the last stage are not there; where the whole budget is one of them, that is said", () => {
    const late = [stage({ share: 0.5 }), stage({})];
    const made = branched(late, [cost(1), cost(1)], 100, 100, "exact", rule);
    expect(made.branches.map(({ share }) => share)).toEqual([1]);
    const later = [stage({ share: 0.9 }), stage({})];
    expect(() => branched(later, [cost(1), cost(1)], 100, 100, "exact", rule)).toThrow(PlanError);
    const own = [stage({ schedule: { warmup: 0, decay: "linear" } })];
    expect(() => branched(own, [cost(1)], 100, 100, "exact", rule)).toThrow("decay of its own");
  });
});

describe("a study with branches", () => {
  const methods = `  scratch:
  stackbert:
  aki: {seeds: [1, 2]}
  linear: {as: scratch, schedule: {warmup: 2, decay: linear}, branches: false}
`;
  const yaml = studyYaml(
    methods,
    "schedule: {warmup: 0.1, decay: constant}\nbranches: {at: [0.6, 0.8], cooldown: 0.25}",
  );

  it("runs a trunk and anneals it, and gives what runs from the start would have given", async () => {
    const folder = temporaryFolder();
    const study = await loadStudy(await writeStudy(folder, yaml));
    const plan = scheduleOf(await stateOf(await openStudy(study)));
    const state = await runStudy(study);
    const titles = state.trials.map(({ cell }) => cell.title);
    expect(titles).toContain("aki, seed 2, at 60 %");
    expect(titles.filter((title) => title.startsWith("linear"))).toEqual(["linear, seed 1"]);
    expect(plan.left.runs).toBe(state.trials.length + 1);

    for (const { cell, record, method } of state.trials) {
      if (!("trunk" in cell.start)) continue;
      // The same run without a trunk: its own file but for where it starts.
      const own = cellFolder(study, cell);
      const run = join(own, "run.yaml");
      const trunk = readFileSync(join(cellFolder(study, cell.start.trunk), "run.yaml"), "utf8");
      const start = /^model:\n( {2}.*\n)+/m.exec(trunk)?.[0] ?? "";
      const text = readFileSync(run, "utf8").replace(
        /^model:\n( {2}.*\n)+/m,
        start.replace("config.json", "first.json"),
      );
      const config = join(cellFolder(study, cell.start.trunk), "config.json");
      if (existsSync(config)) writeFileSync(join(own, "first.json"), readFileSync(config));
      const whole = join(own, "whole.yaml");
      writeFileSync(whole, text.replace(/^out: run$/m, "out: whole"));
      await pretrain(await loadRun(whole));
      const weights = (name: string) => readFileSync(join(own, name, "model", "model.safetensors"));
      expect(weights("run").equals(weights("whole")), cell.title).toBe(true);
      const last = record?.evaluations.at(-1);
      expect(last?.step).toBe(cell.steps);
      const share = state.trials.find((trial) => trial.cell === cell)?.share ?? 0;
      expect(last?.flops.exact ?? 0).toBeLessThanOrEqual(share * state.cells.budget.flops.exact * 1.000001);
      expect(last?.flops.exact ?? 0, method.name).toBeGreaterThan(share * state.cells.budget.flops.exact * 0.8);
    }

    const { data } = await writeResults(state);
    const aki = data.methods.find(({ name }) => name === "aki");
    expect(aki?.annealed.map(({ seed, points }) => [seed, points.map(({ share }) => share)])).toEqual([
      [1, [0.6, 0.8, 1]],
      [2, [0.6, 0.8, 1]],
    ]);
    expect(aki?.fair?.exact.pairs).toBe(2);
    expect(data.methods.find(({ name }) => name === "linear")?.fair).toBe(null);
    const page = readFileSync(join(study.results, "report.html"), "utf8");
    expect(page).toContain("Savings at equal annealed loss");

    // From records alone, and where the folders are gone one branch is made again with its trunk.
    const kept = records(study.records);
    const first = state.trials.find(({ cell }) => cell.title === "scratch, seed 1, at 60 %")?.cell;
    if (first === undefined) throw new Error("no branch");
    rmSync(join(study.out, "cells"), { recursive: true });
    rmSync(join(study.records, `${first.id}.json`));
    await runStudy(study);
    expect(records(study.records)).toEqual(kept);
    expect(timeless(await writeResults(await stateOf(await openStudy(study))).then((one) => one.data))).toEqual(
      timeless(data),
    );
  });

  it("makes a trunk again that ended before a branch was asked for, and names a plan that leaves no room", async () => {
    const folder = temporaryFolder();
    const path = await writeStudy(folder, studyYaml("  scratch:\n", "branches: {at: [0.8], cooldown: 0.25}"));
    await runStudy(await loadStudy(path));
    const more = await loadStudy(path, ["branches.at=[0.6, 0.8]"]);
    const state = await runStudy(more);
    expect(state.trials.every(({ record }) => record !== undefined)).toBe(true);
    expect(state.trials).toHaveLength(3);
    const late = await loadStudy(path, ["methods.scratch.plan=[{name: a, share: 0.9}, {name: b}]"]);
    await expect(openStudy(late).then(stateOf)).rejects.toMatchObject({ where: "--set methods.scratch.plan" });
  });
});
