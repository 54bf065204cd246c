import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stepsWithin } from "../../src/study/budget.ts";
import { asJson, canonical, keyOf } from "../../src/study/identity.ts";
import { openStudy, stateOf } from "../../src/study/run.ts";
import { loadStudy } from "../../src/study/settings.ts";
import type { StageSpec } from "../../src/train/plan/stage.ts";
import { temporaryFolder } from "../support.ts";
import { studyYaml, writeStudy } from "./support.ts";

describe("a key", () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue());

  it("does not depend on the order of keys, and differs where the content does", () => {
    fc.assert(
      fc.property(object, object, (a, b) => {
        const left = asJson(a);
        const right = asJson(b);
        const turned = asJson(Object.fromEntries(Object.entries(a).reverse()));
        expect(keyOf(turned)).toBe(keyOf(left));
        // Two contents have one text only if they are the same.
        const same = canonical(left) === canonical(right);
        expect(keyOf(left) === keyOf(right)).toBe(same);
        if (same) expect(left).toEqual(right);
      }),
    );
  });
});

describe("a study's cells", () => {
  const methods = "  scratch:\n  aki: {seeds: [1, 2]}\n  stackbert:\n";

  async function keys(folder: string, sets: readonly string[] = []): Promise<Record<string, string>> {
    const cells = await openStudy(await loadStudy(join(folder, "study.yaml"), sets));
    const state = await stateOf(cells);
    const runs = state.trials.map(({ cell }) => [cell.title, cell.key]);
    return Object.fromEntries([["source", cells.source.key], ["data", cells.data.key], ...runs]);
  }

  /** The cells whose keys a change of the settings changes. */
  async function changed(folder: string, ...sets: string[]): Promise<string[]> {
    const before = await keys(folder);
    const after = await keys(folder, sets);
    return Object.keys(before).filter((title) => after[title] !== before[title]);
  }

  it("are the same wherever the study stands, however it runs and whatever it is called", async () => {
    const folder = temporaryFolder();
    await writeStudy(folder, studyYaml(methods));
    const other = temporaryFolder();
    await writeStudy(other, studyYaml(methods));
    expect(await keys(other)).toEqual(await keys(folder));
    for (const set of [
      ...["engine.threads=2", "engine.kind=reference", "out=elsewhere", "checkpoint.every=3", "log.every=1"],
      ...["title=Another", "methods.aki.label=ours", "methods.aki.about=words", "accounting=exact"],
    ]) {
      expect(await changed(folder, set), set).toEqual([]);
    }
  });

  it("change with everything that their result depends on, and no others do", async () => {
    const folder = temporaryFolder();
    await writeStudy(folder, studyYaml(methods));
    const runs = ["scratch, seed 1", "aki, seed 1", "aki, seed 2", "stackbert, seed 1"];
    const all = ["source", ...runs];
    const aki = ["aki, seed 1", "aki, seed 2"];
    expect((await changed(folder, "optimizer.weight_decay=0.1")).sort()).toEqual([...all].sort());
    expect((await changed(folder, "batch.sequences=8")).sort()).toEqual([...all].sort());
    expect((await changed(folder, "evaluate.every=6")).sort()).toEqual([...all].sort());
    expect((await changed(folder, "target.hidden=32")).sort()).toEqual([...runs].sort());
    expect((await changed(folder, "engine.precision=f32")).sort()).toEqual([...all].sort());
    // What the source is made with concerns those that grow it.
    expect((await changed(folder, "source.seed=7")).sort()).toEqual(["source", ...aki].sort());
    expect((await changed(folder, "source.optimizer.lr=1e-3")).sort()).toEqual(["source", ...aki].sort());
    expect(await changed(folder, "methods.aki.growth={method: aki, options: {scope: units}}")).toEqual(aki);
    expect(await changed(folder, "methods.aki.growth={method: aki, moments: grow}")).toEqual(aki);
    expect(await changed(folder, "methods.aki.plan={two-stage: {block: 1, share: 0.25}}")).toEqual(aki);
    expect(await changed(folder, "methods.aki.lr=2e-2")).toEqual(aki);
    expect(await changed(folder, "methods.stackbert.schedule={warmup: 0.1}")).toEqual(["stackbert, seed 1"]);
    // The same plan written out is the same plan.
    expect(await changed(folder, "methods.aki.plan=[{name: full}]")).toEqual([]);
  });

  it("know prepared data by what it holds", async () => {
    const folder = temporaryFolder();
    await writeStudy(folder, studyYaml(methods));
    const before = await keys(folder);
    const info = join(folder, "data", "data.json");
    const json = JSON.parse((await import("node:fs")).readFileSync(info, "utf8"));
    writeFileSync(info, JSON.stringify({ ...json, sources: [{ path: "/a/b.txt", bytes: 9, sha256: "00" }] }));
    const other = await keys(folder);
    expect(Object.keys(before).every((title) => other[title] !== before[title])).toBe(true);
    writeFileSync(info, JSON.stringify({ ...json, sources: [{ path: "/elsewhere/b.txt", bytes: 9, sha256: "00" }] }));
    expect(await keys(folder)).toEqual(other);
  });
});

describe("a budget", () => {
  const stage = (given: Partial<StageSpec>): StageSpec => ({ name: "s", head: true, optimizer: "keep", ...given });

  it("pays as many steps as fit, whatever the shares and costs", () => {
    const share = fc.double({ min: 0.05, max: 0.45, noNaN: true });
    const cost = fc.double({ min: 0.1, max: 10, noNaN: true });
    fc.assert(
      fc.property(share, share, cost, cost, cost, fc.integer({ min: 50, max: 5000 }), (a, b, x, y, z, budget) => {
        const plan = [stage({ share: a }), stage({ share: b }), stage({})];
        const costs = [x, y, z].map((exact) => ({ exact, paper: 2 * exact }));
        const steps = stepsWithin(budget, plan, costs, "exact");
        const [one, two] = [Math.round(a * steps), Math.round(a * steps + b * steps)];
        const spent = one * x + (two - one) * y + (steps - two) * z;
        expect(spent).toBeLessThanOrEqual(budget * (1 + 1e-8));
        // One more step, wherever the boundaries then fall, may cost two of the dearest.
        expect(spent + 2 * Math.max(x, y, z)).toBeGreaterThan(budget);
        expect(stepsWithin(2 * budget, plan, costs, "paper")).toBe(steps);
      }),
    );
  });

  it("is refused where a plan does not fit into it", () => {
    const costs = [
      { exact: 1, paper: 1 },
      { exact: 1, paper: 1 },
    ];
    expect(() => stepsWithin(10, [stage({ steps: 20 }), stage({})], costs, "exact")).toThrow(
      "the stages take 20 steps",
    );
    expect(() => stepsWithin(0.5, [stage({})], costs.slice(1), "exact")).toThrow("does not pay a single step");
  });
});
