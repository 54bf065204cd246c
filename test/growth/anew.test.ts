/** New layers that are made from none, and models without layers that grow by them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { applyGrowth } from "../../src/growth/apply.ts";
import { depthRuleOf } from "../../src/growth/depth.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { evaluate } from "../../src/growth/recipe.ts";
import { readRecord } from "../../src/growth/record.ts";
import { repeatedPlan } from "../../src/growth/repeat.ts";
import { resizeModel } from "../../src/model/architecture.ts";
import { createModel } from "../../src/model/create.ts";
import { initialise } from "../../src/model/init.ts";
import { openModel } from "../../src/model/load.ts";
import { randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { temporaryFolder } from "../support.ts";
import { reference, source } from "./support.ts";

const none = { read: () => Promise.reject(new Error("nothing is read")) };

describe("new layers", () => {
  it("are drawn as for a new model, what they write into the stream times the rule's factor", async () => {
    const { model } = await source("gpt2-tiny");
    const { layers } = model.dimensions;
    const target = resizedModel(model, { layers: layers + 1 });
    const of = (depth: string) => planGrowth(model, target, { method: "fpi", depth, seed: 3 });
    const [plain, small] = [of("random"), of("random:0.25")];
    const fresh = plain.layers.findIndex((origin) => origin.fresh);
    for (const [i, { parameter, weight }] of small.parameters.entries()) {
      if (parameter.layer !== fresh) continue;
      const factor = parameter.part === "branch-output" ? 0.25 : 1;
      const drawn = initialise(parameter, 3);
      expect(await evaluate(weight, none), parameter.name).toEqual(drawn.map((value) => factor * value));
      expect(await evaluate(plain.parameters[i].weight, none), parameter.name).toEqual(drawn);
    }
    expect(small.promise.kind).toBe("none");
  });

  it("take a factor by one rule alone, and a number", () => {
    expect(() => depthRuleOf("stack:0.1")).toThrow("`stack` takes no factor");
    expect(() => depthRuleOf("random:small")).toThrow("`small` is not a number");
    expect(() => depthRuleOf("random:")).toThrow("`` is not a number");
    expect(depthRuleOf(depthRuleOf("random:0.1").name).name).toBe("random:0.1");
  });
});

describe("a model without layers", () => {
  const names = ["bert-tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny"];
  it.each(names)("is written, grown, verified and grown again from its record: %s", async (name) => {
    const { model: like } = await source(name);
    const empty = resizeModel(like, { layers: 0 }, "the test");
    const root = temporaryFolder();
    const path = (folder: string) => join(root, folder);
    await createModel(empty.config, "the test", path("empty"), { seed: 4 });
    const opened = await openModel(path("empty"));
    const target = resizedModel(opened.model, { layers: 2 });
    expect(target.parameters.map(({ name }) => name)).toEqual(
      resizeModel(like, { layers: 2 }, "the test").parameters.map(({ name }) => name),
    );
    for (const depth of ["zero", "random", "random:0.5"]) {
      const plan = planGrowth(opened.model, target, { method: "fpi", depth, seed: 2 });
      const norms = target.parameters.some(({ norm, layer }) => layer !== null && norm?.sees === "stream");
      expect(plan.promise.kind).toBe(depth === "zero" && !norms ? "exact" : "none");
      await applyGrowth(plan, opened, path(depth));
      const grown = await openModel(path(depth));
      const record = await readRecord(path(depth));
      const inputs = randomInputs(opened.model, 1, 2, 8);
      const result = await verifyGrowth(opened, grown, record, inputs, reference);
      expect(result.kept, depth).toBe(true);
      const logits = result.differences.find((one) => one.name === "logits")?.share ?? Number.NaN;
      if (plan.promise.kind === "exact") expect(logits).toBeLessThan(1e-6);
      else if (depth !== "zero") expect(logits).toBeGreaterThan(1e-6);
      await grown.close();
      const { plan: again } = await repeatedPlan(opened, join(path(depth), "growth.json"));
      await applyGrowth(again, opened, path(`${depth}-again`));
      const bytes = (folder: string) => readFileSync(join(path(folder), "model.safetensors"));
      expect(bytes(`${depth}-again`).equals(bytes(depth))).toBe(true);
    }
    for (const depth of ["stack", "interleave", "spread", "overlap", "middle"]) {
      expect(() => planGrowth(opened.model, target, { method: "fpi", depth })).toThrow("no layer that");
    }
    await opened.close();
  });
});
