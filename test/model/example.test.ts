/** The example of docs/how-to/add-an-architecture.md: it works, and the page shows it as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { xlmRoberta } from "../../docs/examples/xlm-roberta.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { initialise } from "../../src/model/init.ts";
import { probe } from "../../src/probe/probe.ts";
import { packageRoot } from "../../src/util/paths.ts";

const config = {
  vocab_size: 30,
  hidden_size: 8,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 12,
  max_position_embeddings: 12,
};

test("its parameters keep RoBERTa's names, with and without the prefix", () => {
  const model = xlmRoberta.model(config, "config.json");
  expect(model.config).toMatchObject({ model_type: "xlm-roberta", architectures: ["XLMRobertaForMaskedLM"] });
  expect(model.parameters[0].name).toBe("roberta.embeddings.word_embeddings.weight");
  const spelling = xlmRoberta.spelling(model)("encoder.layer.1.output.LayerNorm.gamma");
  expect(spelling).toEqual({ kind: "parameter", name: "roberta.encoder.layer.1.output.LayerNorm.weight" });
  expect(model.dimensions.positions).toBe(10);
});

test("it runs", async () => {
  const model = xlmRoberta.model(config, "config.json");
  const drawn = new Map(model.parameters.map((parameter) => [parameter.name, initialise(parameter, 1)]));
  const engine = await referenceEngine.open({ threads: 1, precision: "f32" });
  const inputs = { batch: 1, length: 4, ids: Int32Array.of(5, 6, 7, 8) };
  const readF32 = async (name: string) => drawn.get(name) ?? new Float32Array();
  const found = await probe(model, { readF32 }, inputs, engine, { gradients: false });
  await engine.close();
  expect(found.get("logits")?.shape).toEqual([1, 4, 30]);
  expect(found.get("logits")?.data.every(Number.isFinite)).toBe(true);
});

test("the page shows the file", () => {
  const page = readFileSync(join(packageRoot(), "docs", "how-to", "add-an-architecture.md"), "utf8");
  const file = readFileSync(join(packageRoot(), "docs", "examples", "xlm-roberta.ts"), "utf8");
  expect(page).toContain(`\`\`\`ts\n${file}\`\`\``);
});
