/** Growth inside a run, from a study's file alone: what begins without layers, shallower, narrower, and becomes the target. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { outputOf } from "../../src/study/build.ts";
import { methodDefinitions } from "../../src/study/methods.ts";
import { writeResults } from "../../src/study/results.ts";
import { openStudy, runStudy, stateOf } from "../../src/study/run.ts";
import { loadStudy } from "../../src/study/settings.ts";
import { temporaryFolder } from "../support.ts";
import { bertConfig } from "../train/data.ts";
import { studyYaml, writeStudy } from "./support.ts";

const branches =
  "schedule: {warmup: 2, decay: constant}\nbranches: {at: [0.7], cooldown: 0.2, decay: linear, stages: own}";
const named = ["zero-one-layer", "gradual-stack", "midas", "in-run", "in-run-width", "sparkling"];
const written = `
  scratch:
  none: {init: {layers: 0}, plan: [{share: 0.5}, {grow: {layers: 4, depth: zero}}]}
  small: {init: {layers: 1}, plan: [{share: 0.5}, {grow: {layers: 4, depth: "random:0.01"}, schedule: {warmup: 2}}]}
  drawn: {init: {layers: 1}, plan: [{share: 0.5}, {grow: {layers: 4, depth: random, moments: drop}, optimizer: reset}]}
  both: {init: {hidden: 16, layers: 0}, plan: [{share: 0.25}, {share: 0.25, grow: {layers: 2, depth: random}}, {grow: {hidden: 24, layers: 4, method: fpi, depth: middle, moments: old-only}}]}
${named.map((name) => `  ${name}:\n`).join("")}`;

/** Of the toy's heads of 4: a target of 4 layers, 24 wide. */
const target = ["target={hidden: 24, layers: 4}", "engine={kind: auto, threads: 1}", "budget.steps=12"];
const sparing = ["checkpoint.every=0", "evaluate={every: 0, sequences: 8}"];

describe("growth inside a run", () => {
  it("from no layer, few layers or fewer units; each plan ends as the target, on the budget, and has a curve", async () => {
    const folder = temporaryFolder();
    const study = await loadStudy(await writeStudy(folder, studyYaml(written, branches)), [...target, ...sparing]);
    const begun: string[] = [];
    const state = await runStudy(study, { begin: (cell) => begun.push(cell.title) });
    // No method grows it.
    expect(begun).not.toContain("the source");
    for (const { cell } of state.trials) {
      const config = JSON.parse(readFileSync(join(outputOf(study, cell), "model", "config.json"), "utf8"));
      expect(config, cell.title).toMatchObject({ n_layer: 4, n_embd: 24 });
    }
    const { data } = await writeResults(state);
    const of = Object.fromEntries(data.methods.map((method) => [method.name, method]));
    for (const { name, annealed, runs } of data.methods) {
      // To a step of the whole network and one of the small one.
      expect(
        annealed[0].points.map(({ share }) => share),
        name,
      ).toEqual([0.7, 1]);
      const spent = runs[0].evaluations.at(-1)?.flops.exact ?? 0;
      expect(Math.abs(spent / data.budget.flops.exact - 1), name).toBeLessThan(0.1);
    }
    const jump = (name: string) => {
      const [{ before, after }] = of[name].runs[0].growths;
      return Math.abs((after ?? 0) - (before ?? 0));
    };
    expect(jump("none")).toBeLessThan(1e-5);
    expect(jump("small")).toBeGreaterThan(1e-5);
    expect(jump("drawn")).toBeGreaterThan(10 * jump("small"));
    expect(of.both.runs[0].growths).toHaveLength(2);
    expect(of.midas.runs[0].growths).toHaveLength(3);
    expect(named.every((name) => methodDefinitions.some((known) => known.name === name))).toBe(true);
  });

  it("of BERT from no layer", async () => {
    const folder = temporaryFolder();
    const config = { ...bertConfig, num_hidden_layers: 2 };
    const methods =
      "  scratch:\n  none: {init: {layers: 0}, plan: [{share: 0.5}, {grow: {layers: 2, depth: random}}]}\n";
    const path = await writeStudy(folder, studyYaml(methods).replace("objective: clm", "objective: mlm"));
    const sets = [`target={config: ${JSON.stringify(config)}}`, `source.config=${JSON.stringify(config)}`];
    const state = await runStudy(await loadStudy(path, sets));
    const [, none] = state.trials.map(({ record }) => record?.evaluations.map(({ loss }) => loss) ?? []);
    expect(none.at(-1)).toBeLessThan(none[0] - 0.05);
  });

  it("a plan that ends with another model than the target is refused where it is written", async () => {
    const folder = temporaryFolder();
    const methods = "  scratch:\n  half: {init: {layers: 1}, plan: [{share: 0.5}, {grow: {layers: 3}}]}\n";
    const study = await loadStudy(await writeStudy(folder, studyYaml(methods)), target);
    await expect(openStudy(study).then(stateOf)).rejects.toMatchObject({
      what: "its plan ends with layers of 3, the target has 4",
    });
    const none = "  scratch:\n  none: {init: {layers: 0}, plan: [{share: 0.5}, {grow: {layers: 4}}]}\n";
    const stacked = await loadStudy(await writeStudy(folder, studyYaml(none)), target);
    await expect(openStudy(stacked)).rejects.toMatchObject({
      what: "--depth: the source has no layer that `stack` could copy",
      wayOut: "take zero or random: new layers are then drawn",
    });
  });
});
