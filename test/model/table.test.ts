import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { architectureOf } from "../../src/model/architectures.ts";
import { bert } from "../../src/model/bert.ts";
import { positionsOf } from "../../src/model/forward.ts";
import { gpt2 } from "../../src/model/gpt2.ts";
import { roberta } from "../../src/model/roberta.ts";
import { type Outputs, shapeOf } from "../../src/model/table.ts";
import { type Json, parseJsonObject } from "../../src/util/json.ts";
import { fixture, fixtures } from "../support.ts";

function config(name: string): Json {
  return parseJsonObject(readFileSync(fixture(name, "config.json"), "utf8"), name);
}

/** Names and shapes from a safetensors header, read here without the library. */
function header(path: string): Map<string, readonly number[]> {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const entries: Record<string, { shape: number[] }> = JSON.parse(bytes.subarray(8, 8 + length).toString("utf8"));
  return new Map(
    Object.entries(entries)
      .filter(([name]) => name !== "__metadata__")
      .map(([name, { shape }]) => [name, shape]),
  );
}

const all = { lm: "tied", pooler: true, nsp: true } as const;
const encoder = { lm: "none", pooler: true, nsp: false } as const;
const lm = { lm: "tied", pooler: false, nsp: false } as const;

describe.each(fixtures)("%s", (name) => {
  const model = architectureOf(config(name), name).model(config(name), name);

  test("the table has the checkpoint's names and shapes", () => {
    const table = new Map(model.parameters.map((parameter) => [parameter.name, shapeOf(parameter)]));
    expect(table).toEqual(header(fixture(name, "model.safetensors")));
  });

  test("matrices and embeddings decay, nothing else does", () => {
    for (const parameter of model.parameters) expect(parameter.decays).toBe(parameter.dims.length > 1);
  });

  test("a bias and a gain make exactly what their matrix makes", () => {
    for (const parameter of model.parameters.filter((one) => one.name.endsWith(".bias"))) {
      const weight = model.parameters.find((one) => one.name === parameter.name.replace(/bias$/, "weight"));
      if (weight === undefined) continue;
      expect(weight.dims).toContainEqual(parameter.dims[0]);
    }
  });

  test("only the norm before the tied head reads on its one dimension", () => {
    const reading = model.parameters.filter((one) => one.dims.length === 1 && one.dims[0].role === "in");
    const last = ["transform", "final"].find((of) => model.parameters.some(({ norm }) => norm?.of === of));
    const before = model.parameters.filter(({ norm }) => norm?.of === last);
    expect(before.length).toBeGreaterThan(0);
    expect(reading).toEqual(model.outputs.lm === "tied" ? before : []);
  });

  test("resize changes the dimensions asked for and no other", () => {
    const { architecture, dimensions } = model;
    const wide = architecture.model(architecture.resize(model.config, { hidden: 2 * dimensions.hidden }), name);
    expect(wide.dimensions).toEqual({
      ...dimensions,
      hidden: 2 * dimensions.hidden,
      headWidth: (architecture.ownHeadWidth ? 1 : 2) * dimensions.headWidth,
    });
    const to = { layers: 5, hidden: 120, heads: 5, kvHeads: 5, headWidth: 24, ffn: 77 };
    expect(architecture.model(architecture.resize(model.config, to), name).dimensions).toEqual({
      ...dimensions,
      ...to,
    });
  });

  test("every name of the table is its own spelling", () => {
    for (const parameter of model.parameters) {
      expect(model.architecture.spelling(model)(parameter.name)).toEqual({
        kind: "parameter",
        name: parameter.name,
      });
    }
  });
});

test("spellings of the Hub: BERT", () => {
  const eight = { ...config("bert-tiny"), num_hidden_layers: 8 };
  const model = bert.model(eight, "c", all);
  const bare = bert.model(eight, "c", encoder);
  const read = (stored: string) => bert.spelling(model)(stored);
  const word = "bert.embeddings.word_embeddings.weight";
  expect(read("embeddings.word_embeddings.weight")).toEqual({ kind: "parameter", name: word });
  expect(read("bert.embeddings.LayerNorm.gamma")).toEqual({
    kind: "parameter",
    name: "bert.embeddings.LayerNorm.weight",
  });
  expect(read("encoder.layer.7.output.LayerNorm.beta")).toEqual({
    kind: "parameter",
    name: "bert.encoder.layer.7.output.LayerNorm.bias",
  });
  expect(read("cls.predictions.transform.LayerNorm.gamma")).toEqual({
    kind: "parameter",
    name: "cls.predictions.transform.LayerNorm.weight",
  });
  expect(read("bert.embeddings.position_ids")).toEqual({ kind: "ignored" });
  expect(read("cls.predictions.decoder.weight")).toEqual({ kind: "copy", of: word });
  expect(read("cls.predictions.decoder.bias")).toEqual({ kind: "copy", of: "cls.predictions.bias" });
  expect(read("classifier.weight")).toEqual({ kind: "head" });
  expect(read("value_head.weight")).toEqual({ kind: "unknown" });
  expect(read("bert.encoder.layer.0.attention.self.distance_embedding.weight")).toEqual({ kind: "unknown" });
  // A bare encoder is saved without the prefix; what its heads would have been is left out.
  expect(bert.spelling(bare)("bert.pooler.dense.weight")).toEqual({
    kind: "parameter",
    name: "pooler.dense.weight",
  });
  expect(bert.spelling(bare)("cls.seq_relationship.weight")).toEqual({ kind: "head" });
  expect(bert.spelling(bare)("cls.predictions.decoder.weight")).toEqual({ kind: "head" });
});

test("spellings of the Hub: RoBERTa and GPT-2", () => {
  const small = roberta.model(config("roberta-tiny"), "c", lm);
  const four = gpt2.model({ ...config("gpt2-tiny"), n_layer: 4 }, "c", lm);
  expect(roberta.spelling(small)("embeddings.LayerNorm.weight")).toEqual({
    kind: "parameter",
    name: "roberta.embeddings.LayerNorm.weight",
  });
  expect(roberta.spelling(small)("lm_head.decoder.weight")).toEqual({
    kind: "copy",
    of: "roberta.embeddings.word_embeddings.weight",
  });
  expect(roberta.spelling(small)("lm_head.decoder.bias")).toEqual({ kind: "copy", of: "lm_head.bias" });
  expect(roberta.spelling(small)("roberta.pooler.dense.bias")).toEqual({ kind: "head" });
  expect(gpt2.spelling(four)("h.3.attn.c_attn.weight")).toEqual({
    kind: "parameter",
    name: "transformer.h.3.attn.c_attn.weight",
  });
  expect(gpt2.spelling(four)("h.3.attn.bias")).toEqual({ kind: "ignored" });
  expect(gpt2.spelling(four)("transformer.h.3.attn.masked_bias")).toEqual({ kind: "ignored" });
  expect(gpt2.spelling(four)("lm_head.weight")).toEqual({ kind: "copy", of: "transformer.wte.weight" });
  expect(gpt2.spelling(four)("score.weight")).toEqual({ kind: "head" });
  expect(gpt2.spelling(four)("value_head.weight")).toEqual({ kind: "unknown" });
});

test("the heads read are those of the largest class that is wholly stored", () => {
  const stored = [
    "bert.embeddings.word_embeddings.weight",
    "bert.pooler.dense.weight",
    "cls.predictions.transform.dense.weight",
    "cls.seq_relationship.weight",
  ];
  const named = (name: string) => ({ ...config("bert-tiny"), architectures: [name] });
  const { architectures: _, ...unnamed } = config("bert-tiny");
  expect(bert.outputsStored(named("BertForMaskedLM"), "c", stored)).toEqual(all);
  expect(bert.outputsStored(unnamed, "c", stored)).toEqual(all);
  expect(bert.outputsStored(unnamed, "c", stored.slice(0, 3))).toEqual(lm);
  expect(bert.outputsStored(unnamed, "c", stored.slice(0, 2))).toEqual(encoder);
  const none: Outputs = { lm: "none", pooler: false, nsp: false };
  // Whatever the config names: what is stored decides.
  expect(bert.outputsStored(named("BertForPreTraining"), "c", stored.slice(0, 2))).toEqual(encoder);
  expect(bert.outputsStored(named("BertModel"), "c", stored.slice(0, 1))).toEqual(none);
  const text = { ...config("bert-tiny"), architectures: "BertModel" };
  expect(bert.outputsStored(text, "c", stored.slice(2, 3))).toEqual({ ...none, lm: "tied" });
});

test("`architectures` written names the class of the heads", () => {
  const base = config("bert-tiny");
  const written = (outputs: Outputs) => bert.model(base, "c", outputs).config.architectures;
  expect(written(all)).toEqual(["BertForPreTraining"]);
  expect(written(lm)).toEqual(["BertForMaskedLM"]);
  expect(written({ ...all, lm: "none" })).toEqual(["BertForNextSentencePrediction"]);
  expect(written(encoder)).toEqual(["BertModel"]);
  expect(written({ lm: "none", pooler: false, nsp: false })).toEqual(["BertModel"]);
  expect(roberta.model(config("roberta-tiny"), "c", encoder).config.architectures).toEqual(["RobertaModel"]);
  expect(gpt2.model({ ...config("gpt2-tiny"), architectures: ["GPT2Model"] }, "c").outputs.lm).toBe("none");
});

test("a bare GPT-2's final norm makes units: no tied head reads them", () => {
  const model = gpt2.model({ ...config("gpt2-tiny"), architectures: ["GPT2Model"] }, "c");
  expect(model.parameters.find((one) => one.name === "ln_f.weight")?.dims[0].role).toBe("out");
});

test.each([
  ["mistral-tiny", { hidden_size: 34, head_dim: null }, 8],
  ["qwen2-tiny", { hidden_size: 34 }, 8],
  ["qwen2-tiny", { head_dim: 6 }, 6],
  ["qwen3-tiny", { hidden_size: 31, head_dim: 6 }, 6],
])("%s with %j has heads as wide as transformers makes them: %i", (name, change, width) => {
  const given: Json = { ...config(name), ...change };
  const { dimensions, config: written } = architectureOf(given, "c").model(given, "c");
  expect(dimensions.headWidth).toBe(width);
  // transformers' Qwen 2 takes a null for a number.
  if (name === "qwen2-tiny") expect(written.head_dim).toBe(given.head_dim);
});

test.each([
  ["bert-tiny", { hidden_act: "quick_gelu" }, /`hidden_act` is "quick_gelu"/],
  ["bert-tiny", { is_decoder: true }, /`is_decoder`/],
  ["bert-tiny", { add_cross_attention: true }, /`add_cross_attention`/],
  ["bert-tiny", { position_embedding_type: "relative_key" }, /`position_embedding_type`/],
  ["roberta-tiny", { pad_token_id: null }, /`pad_token_id`/],
  ["roberta-tiny", { max_position_embeddings: 2 }, /max_position_embeddings/],
  ["gpt2-tiny", { scale_attn_by_inverse_layer_idx: true }, /`scale_attn_by_inverse_layer_idx`/],
  ["gpt2-tiny", { add_cross_attention: true }, /`add_cross_attention`/],
  ["gpt2-tiny", { activation_function: "mish" }, /`activation_function`/],
  ["gpt2-tiny", { n_head: 5 }, /`n_embd` is 64, which 5 heads do not divide/],
  ["llama-tiny", { num_attention_heads: 6, head_dim: 8 }, /`hidden_size` is 32, which 6 heads do not divide/],
  ["mistral-tiny", { hidden_size: 3, head_dim: null }, /`hidden_size` is 3, which 4 heads do not divide/],
  ["qwen2-tiny", { hidden_size: 23 }, /`hidden_size` makes heads 5 wide/],
  ["gpt2-tiny", { n_layer: -1 }, /`n_layer` is -1/],
  ["bert-tiny", { hidden_size: "64" }, /`hidden_size` is "64"/],
  ["bert-tiny", { layer_norm_eps: -1 }, /`layer_norm_eps`/],
  ["bert-tiny", { hidden_dropout_prob: 1 }, /`hidden_dropout_prob`/],
  ["bert-tiny", { architectures: ["BertForQuestionAnswering"] }, /BertForQuestionAnswering.*not supported/],
  ["bert-tiny", { model_type: "brt" }, /did you mean `bert`/],
])("%s with %j is refused by name", (name, change, message) => {
  const changed: Json = { ...config(name), ...change };
  expect(() => architectureOf(changed, "config.json").model(changed, "config.json")).toThrow(message);
});

test("a config with transformers' common names for GPT-2 is read as its own", () => {
  const { n_embd, n_layer, ...rest } = config("gpt2-tiny");
  const model = gpt2.model({ ...rest, hidden_size: n_embd ?? 0, num_hidden_layers: n_layer ?? 0 }, "c");
  expect(model.dimensions).toEqual(gpt2.model(config("gpt2-tiny"), "c").dimensions);
});

test("RoBERTa's positions count what is not padding", () => {
  const model = roberta.model(config("roberta-tiny"), "c");
  const ids = Int32Array.from([5, 6, 1, 7, 1, 1, 9, 9]);
  expect(positionsOf(model, ids, 4)).toEqual(Int32Array.from([2, 3, 1, 4, 1, 1, 2, 3]));
  expect(positionsOf(bert.model(config("bert-tiny"), "c"), ids, 4)).toBeUndefined();
});
