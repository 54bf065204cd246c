/**
 * Today's models in transformers, in float64: what a method promises to keep is kept there, at whole and broken ratios,
 * groups and key-value heads grown alone and together, and deeper by zero branches.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { applyGrowth } from "../../src/growth/apply.ts";
import {
  type GrowthChoices,
  type GrowthPlan,
  planGrowth,
  resizedModel,
  type TargetSizes,
} from "../../src/growth/plan.ts";
import { openModel } from "../../src/model/load.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "safetensors"]);
const scripts = (name: string) => readFileSync(join(packageRoot(), "test", "peers", name), "utf8");
const root = temporaryFolder();

const names = [
  "llama-groups",
  "llama-one-kv-tied",
  "llama-biases-wide-heads",
  "llama-yarn",
  "mistral-window",
  "mistral-linear",
  "qwen2-groups",
  "qwen2-tied",
  "qwen2-kinds",
  "qwen2-linear-odd-heads",
  "qwen2-yarn-wide-heads",
  "qwen3-groups",
  "qwen3-tied",
  "modernbert-kinds",
  "modernbert-untied",
  "modernbert-biases",
  "modernbert-ropes",
  "xlm-roberta",
  "xlm-roberta-types",
  "distilbert",
  "distilbert-untied",
  "bert-untied",
  "roberta-untied",
];

beforeAll(() => {
  peer?.run(scripts("models.py"), ["make", join(root, "made"), ...names]);
});

describe.skipIf(peer === undefined)("growth of today's models in transformers", () => {
  it.each(names)("%s", async (name) => {
    const source = await openModel(join(root, "made", name));
    const { hidden, heads, kvHeads, ffn, layers, headWidth } = source.model.dimensions;
    const group = heads / kvHeads;
    const together = heads * headWidth === hidden;
    // Five thirds and eight thirds of the width, or the whole groups of heads next to them.
    const wide = (ratio: number): TargetSizes =>
      together
        ? { hidden: Math.round((heads * ratio) / kvHeads) * kvHeads * headWidth, kvHeads }
        : { hidden: Math.round(hidden * ratio) };
    const cases: [string, TargetSizes, GrowthChoices][] = [
      ["fpi-2", { hidden: 2 * hidden }, { method: "fpi" }],
      ["fpi-3-ffn", { hidden: 3 * hidden, ffn: ffn + 17 }, { method: "fpi", map: "shuffled" }],
      ["fpi-2-groups", { hidden: 2 * hidden, heads: 2 * heads, kvHeads }, { method: "fpi" }],
      ["fpi-2-both", { hidden: 4 * hidden, heads: 4 * heads, kvHeads: 2 * kvHeads }, { method: "fpi" }],
      ["fresh", { hidden: 2 * hidden, ffn: 2 * ffn + 9 }, { method: "fresh" }],
      ["hyperclone", { hidden: 2 * hidden }, { method: "hyperclone" }],
      ["zero", { layers: layers + 2 }, { method: "fpi", depth: "zero" }],
      ["lemon-2", { hidden: 2 * hidden }, { method: "lemon" }],
      ["ffn-alone", { ffn: ffn + 5 }, { method: "fpi" }],
    ];
    if (!together) {
      cases.push(["kv-alone", { heads: 2 * heads, kvHeads: 2 * kvHeads }, { method: "fpi" }]);
      cases.push(["groups-alone", { heads: kvHeads * (group + 1), kvHeads }, { method: "fpi" }]);
    }
    for (const ratio of [5 / 3, 8 / 3]) {
      cases.push([`lemon-${ratio.toFixed(1)}`, wide(ratio), { method: "lemon", options: { shares: "equal" } }]);
      cases.push([`isometric-${ratio.toFixed(1)}`, wide(ratio), { method: "isometric", map: "random" }]);
    }
    const folders: string[] = [];
    let turned = 0;
    for (const [label, sizes, choices] of cases) {
      let plan: GrowthPlan;
      try {
        // Sizes that a model's heads don't allow, and isometric where a norm sees more than the stream's length.
        plan = planGrowth(source.model, resizedModel(source.model, sizes), { ...choices, seed: 7 });
      } catch {
        continue;
      }
      if (plan.promise.kind !== "exact") continue;
      const folder = join(root, name, label);
      await applyGrowth(plan, source, folder, { dtype: "F32" });
      folders.push(folder);
      if (choices.method === "isometric") turned++;
    }
    await source.close();
    expect(folders.length).toBeGreaterThanOrEqual(9 + turned);
    const lines = (peer?.run(scripts("lossless64.py"), [join(root, "made", name), ...folders]) ?? "")
      .trim()
      .split("\n");
    expect(lines).toHaveLength(folders.length);
    for (const line of lines) {
      const { case: label, share, allowed, ...info } = JSON.parse(line);
      expect([label, info]).toEqual([label, { missing_keys: [], unexpected_keys: [], mismatched_keys: [] }]);
      expect(share, `${label}: ${share} of ${allowed}`).toBeLessThanOrEqual(allowed);
    }
  });
});
