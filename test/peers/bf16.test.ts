/**
 * Growth in BF16, where today's models are stored: every method that promises to keep a random Llama's function, at twice
 * and five thirds of its width, as `verify` sees it and as transformers does in float64.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeSafetensors } from "../../src/checkpoint/write.ts";
import { onnxEngine } from "../../src/engine/onnx/onnx.ts";
import { applyGrowth } from "../../src/growth/apply.ts";
import { methods } from "../../src/growth/methods.ts";
import { planGrowth, resizedModel, roundedIn } from "../../src/growth/plan.ts";
import { readRecord } from "../../src/growth/record.ts";
import { createModel } from "../../src/model/create.ts";
import { openModel } from "../../src/model/load.ts";
import { randomInputs, verifyGrowth } from "../../src/probe/verify.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "safetensors"]);

const llama = {
  model_type: "llama",
  vocab_size: 61,
  hidden_size: 48,
  intermediate_size: 36,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 3,
  max_position_embeddings: 32,
  initializer_range: 0.25,
};

describe.skipIf(peer === undefined)("growth in BF16", () => {
  it.each([true, false])("is judged as transformers would, tied head: %s", async (tied) => {
    const root = temporaryFolder();
    const from = join(root, "source");
    await createModel({ ...llama, tie_word_embeddings: tied }, "config", from, { seed: 5, dtype: "BF16" });
    const source = await openModel(from);
    // None is padding: what padded positions compute is compared too.
    const { mask: _, ...inputs } = randomInputs(source.model, 0, 3, 20);
    const shape = [inputs.batch, inputs.length];
    const data = async () => Float32Array.from(inputs.ids);
    await writeSafetensors(join(root, "inputs.safetensors"), [{ name: "input_ids", dtype: "F32", shape, data }]);
    const judged: { label: string; rounded: boolean; found: Awaited<ReturnType<typeof verifyGrowth>> }[] = [];
    const folders: string[] = [];
    for (const { name: method, learned } of methods) {
      for (const hidden of [96, 80]) {
        if (learned === true) continue;
        const plan = planGrowth(source.model, resizedModel(source.model, { hidden, kvHeads: hidden === 80 ? 5 : 6 }), {
          method,
          seed: 2,
        });
        if (plan.promise.kind !== "exact") continue;
        const label = `${method}-${hidden}`;
        const folder = join(root, label);
        await applyGrowth(plan, source, folder);
        await applyGrowth(plan, source, `${folder}-f32`, { dtype: "F32" });
        const grown = await openModel(folder);
        expect(new Set(grown.model.parameters.map(({ name }) => grown.weights.dtype(name)))).toEqual(new Set(["BF16"]));
        const record = await readRecord(folder);
        const open = () => onnxEngine.open({ threads: 1, precision: "f32" });
        const found = await verifyGrowth(source, grown, record, inputs, open);
        await grown.close();
        const rounded = roundedIn(plan, "BF16");
        expect(JSON.parse(readFileSync(join(folder, "growth.json"), "utf8")).promise.rounded).toBe(rounded);
        const card = readFileSync(join(folder, "README.md"), "utf8");
        expect(card.includes("`--dtype F32` keeps them")).toBe(rounded);
        expect(card.includes("powers of two, which BF16 holds exactly")).toBe(!rounded);
        judged.push({ label, rounded, found });
        folders.push(folder);
      }
    }
    await source.close();
    expect(judged.map(({ label }) => label)).toEqual(expect.arrayContaining(["fpi-96", "fresh-96", "lemon-80"]));
    const script = readFileSync(join(packageRoot(), "test", "peers", "bf16.py"), "utf8");
    const said = peer?.run(script, [join(root, "inputs.safetensors"), from, ...folders]) ?? "";
    const lines = said.trim().split("\n");
    expect(lines).toHaveLength(judged.length);
    for (const [i, { label, rounded, found }] of judged.entries()) {
      const { share, before, costs } = JSON.parse(lines[i]);
      const logits = found.differences.find(({ name }) => name === "logits");
      // What float32 rounds lies between the two.
      expect(Math.abs((logits?.share ?? 1) - share), `${label}: ${logits?.share}, ${share}`).toBeLessThan(1e-5);
      expect(Math.abs((found.rounding?.costs ?? 0) - costs), `${label}: ${costs}`).toBeLessThan(1e-5);
      expect(before, label).toBeLessThan(1e-5);
      expect([label, found.kept]).toEqual([label, share <= 1e-5 + costs]);
      expect(found.kept, label).toBe(true);
      expect(costs > 1e-4, `${label}: ${costs}`).toBe(rounded);
    }
  });
});
