/** The methods that keep the function, in transformers: grown and source compute the same there, LEMON at 1.5 times the width. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { applyGrowth } from "../../src/growth/apply.ts";
import { type GrowthChoices, planGrowth, resizedModel, type TargetSizes } from "../../src/growth/plan.ts";
import { openModel } from "../../src/model/load.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { fixture, python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "safetensors"]);

describe.skipIf(peer === undefined)("lossless growth in transformers", () => {
  it.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])("%s", async (name) => {
    const root = temporaryFolder();
    const source = await openModel(fixture(name));
    const { hidden, ffn, layers } = source.model.dimensions;
    const cases: [string, TargetSizes, GrowthChoices][] = [
      ["unequal", { hidden: 2 * hidden, ffn: 2 * ffn + 9 }, { method: "fpi", options: { shares: "unequal" } }],
      ["fresh", { hidden: 3 * hidden, ffn: 3 * ffn + 9 }, { method: "fresh", options: { shares: "noisy" } }],
      ["hyperclone", { hidden: 2 * hidden }, { method: "hyperclone" }],
      ["zero", { layers: layers + 3 }, { method: "fpi", depth: "zero" }],
      ["lemon-multiple", { hidden: 2 * hidden }, { method: "lemon", options: { inner: "fresh" } }],
    ];
    if (name === "gpt2-tiny") {
      for (const wide of [96, 80, 176]) cases.push([`lemon-equal-${wide}`, { hidden: wide }, { method: "lemon" }]);
      const options = { shares: "unequal", inner: "fresh" };
      cases.push(["lemon-unequal", { hidden: 96, layers: layers + 1 }, { method: "lemon", options, depth: "zero" }]);
    }
    for (const [label, sizes, choices] of cases) {
      const plan = planGrowth(source.model, resizedModel(source.model, sizes), { ...choices, seed: 7 });
      expect(plan.promise.kind).not.toBe("none");
      await applyGrowth(plan, source, join(root, label), { dtype: "F32" });
    }
    await source.close();
    const script = readFileSync(join(packageRoot(), "test", "peers", "lossless.py"), "utf8");
    const printed = peer?.run(script, [fixture(name), ...cases.map(([label]) => join(root, label))]) ?? "";
    const lines = printed.trim().split("\n");
    expect(lines).toHaveLength(cases.length);
    for (const line of lines) {
      const result = JSON.parse(line);
      expect(result).toMatchObject({ wrong: [], missing_keys: [], unexpected_keys: [], mismatched_keys: [] });
      expect(result.share, result.case).toBeLessThanOrEqual(1e-5);
    }
    console.info(
      `${name}: logits move by at most ${Math.max(...lines.map((line) => JSON.parse(line).share)).toExponential(1)}`,
    );
  });
});
