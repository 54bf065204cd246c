/** The example of docs/how-to/add-an-architecture.md: it works, and the page shows it as it is. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { stablelm } from "../../docs/examples/stablelm.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { initialise } from "../../src/model/init.ts";
import { probe } from "../../src/probe/probe.ts";
import { packageRoot } from "../../src/util/paths.ts";

const config = {
  vocab_size: 30,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 12,
  num_key_value_heads: 1,
  max_position_embeddings: 12,
};

test("its parameters have transformers' names, with and without the prefix", () => {
  const model = stablelm.model(config, "config.json");
  expect(model.config).toMatchObject({ model_type: "stablelm", architectures: ["StableLmForCausalLM"] });
  expect(model.parameters[0].name).toBe("model.embed_tokens.weight");
  const spelling = stablelm.spelling(model)("layers.1.post_attention_layernorm.bias");
  expect(spelling).toEqual({ kind: "parameter", name: "model.layers.1.post_attention_layernorm.bias" });
});

test.each([
  [{ partial_rotary_factor: 0.4 }, /`partial_rotary_factor` is 0.4, of heads 8 wide/],
  [{ use_parallel_residual: true }, /`use_parallel_residual`/],
  [{ qk_layernorm: true }, /`qk_layernorm`/],
])("with %j it is refused by name", (change, message) => {
  expect(() => stablelm.model({ ...config, ...change }, "config.json")).toThrow(message);
});

test("it grows exactly: by whole copies, and by LEMON's means at any width", () => {
  const model = stablelm.model(config, "config.json");
  for (const [hidden, method] of [
    [32, "fpi"],
    [24, "lemon"],
  ] as const) {
    const plan = planGrowth(model, resizedModel(model, { hidden }), { method });
    expect(plan.promise.kind).toBe("exact");
  }
});

test("it runs", async () => {
  const model = stablelm.model(config, "config.json");
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
  const file = readFileSync(join(packageRoot(), "docs", "examples", "stablelm.ts"), "utf8");
  expect(page).toContain(`\`\`\`ts\n${file}\`\`\``);
});
