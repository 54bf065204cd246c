import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createModel } from "../../src/model/create.ts";
import { initialise } from "../../src/model/init.ts";
import { openModel } from "../../src/model/load.ts";
import { shapeOf } from "../../src/model/table.ts";
import type { ProbeTensor } from "../../src/probe/probe.ts";
import type { Json } from "../../src/util/json.ts";
import { temporaryFolder } from "../support.ts";
import { checkpoint, folderOf, renamed, tensorOf } from "./support.ts";

const root = temporaryFolder();

const ids = (length: number): ProbeTensor => ({ shape: [1, length], data: Float32Array.from({ length }, (_, i) => i) });
const square: ProbeTensor = { shape: [1, 1, 4, 4], data: new Float32Array(16) };

const spellings: [string, string, () => Map<string, ProbeTensor>][] = [
  ["bert-tiny", "as written today", () => renamed("bert-tiny", (name) => name)],
  ["bert-tiny", "without `bert.`", () => renamed("bert-tiny", (name) => name.replace(/^bert\./, ""))],
  [
    "bert-tiny",
    "with gamma and beta, position_ids and the tied decoder",
    () =>
      renamed("bert-tiny", (name) =>
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
      )
        .set("bert.embeddings.position_ids", ids(32))
        .set("cls.predictions.decoder.weight", tensorOf("bert-tiny", "bert.embeddings.word_embeddings.weight"))
        .set("cls.predictions.decoder.bias", tensorOf("bert-tiny", "cls.predictions.bias")),
  ],
  [
    "bert-tiny",
    "with the decoder's bias and weight alone",
    () =>
      renamed("bert-tiny", (name) =>
        name
          .replace("cls.predictions.bias", "cls.predictions.decoder.bias")
          .replace("bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"),
      ),
  ],
  [
    "roberta-tiny",
    "without `roberta.`, with lm_head.decoder",
    () =>
      renamed("roberta-tiny", (name) => name.replace(/^roberta\./, ""))
        .set("embeddings.position_ids", ids(34))
        .set("lm_head.decoder.weight", tensorOf("roberta-tiny", "roberta.embeddings.word_embeddings.weight"))
        .set("lm_head.decoder.bias", tensorOf("roberta-tiny", "lm_head.bias")),
  ],
  [
    "gpt2-tiny",
    "without `transformer.`, with attn.bias and lm_head.weight",
    () =>
      renamed("gpt2-tiny", (name) => name.replace(/^transformer\./, ""))
        .set("h.0.attn.bias", square)
        .set("h.0.attn.masked_bias", { shape: [], data: Float32Array.of(-1e4) })
        .set("lm_head.weight", tensorOf("gpt2-tiny", "transformer.wte.weight")),
  ],
];

describe("spellings", () => {
  test.each(spellings)("%s %s", async (name, _, tensors) => {
    const open = await openModel(await folderOf(checkpoint(name).config, tensors()));
    for (const parameter of open.model.parameters) {
      expect(await open.weights.readF32(parameter.name)).toEqual(tensorOf(name, parameter.name).data);
    }
    expect(open.model.parameters.length).toBe(checkpoint(name).tensors.size);
    await open.close();
  });
});

describe("heads", () => {
  const cases: [string, RegExp | undefined, string | undefined, string][] = [
    ["all that are stored, whatever less the config names", undefined, "BertForMaskedLM", "BertForPreTraining"],
    ["none named: what is stored", /pooler|seq_relationship/, undefined, "BertForMaskedLM"],
    ["none named, a bare encoder", /^cls/, undefined, "BertModel"],
    [
      "no masked-language-model head",
      /^cls\.predictions/,
      "BertForNextSentencePrediction",
      "BertForNextSentencePrediction",
    ],
    [
      "a pooler beside a head whose class has none is left out",
      /seq_relationship/,
      "BertForMaskedLM",
      "BertForMaskedLM",
    ],
  ];
  test.each(cases)("%s", async (_, drop, named, found) => {
    const { architectures: __, ...config } = checkpoint("bert-tiny").config;
    const folder = await folderOf(
      named === undefined ? config : { ...config, architectures: [named] },
      renamed("bert-tiny", (name) => (drop?.test(name) ? undefined : name)),
    );
    const { model, close } = await openModel(folder);
    expect(model.config.architectures).toEqual([found]);
    await close();
  });
});

describe("refused", () => {
  const refused = async (name: string, tensors: Map<string, ProbeTensor>, message: RegExp, change: Json = {}) => {
    const folder = await folderOf({ ...checkpoint(name).config, ...change }, tensors);
    await expect(openModel(folder)).rejects.toThrow(message);
  };

  test("a missing parameter", async () => {
    const less = renamed("bert-tiny", (name) => (name.endsWith("1.output.dense.bias") ? undefined : name));
    await refused("bert-tiny", less, /bert\.encoder\.layer\.1\.output\.dense\.bias missing/);
  });

  test("a head that is stored in part", async () => {
    const less = renamed("bert-tiny", (name) => (/cls\.predictions.*bias/.test(name) ? undefined : name));
    await refused("bert-tiny", less, /cls\.predictions\.transform\.dense\.bias, .*LayerNorm\.bias, .* missing/);
  });

  test("a tensor that is no parameter", async () => {
    const more = renamed("gpt2-tiny", (name) => name).set("value_head.weight", {
      shape: [1],
      data: new Float32Array(1),
    });
    await refused("gpt2-tiny", more, /tensor value_head\.weight is none/);
  });

  test("more blocks than the config has, fewer, and another width", async () => {
    const same = () => renamed("gpt2-tiny", (name) => name);
    await refused("gpt2-tiny", same(), /h\.2\.\S+ is none that a gpt2 of 2 layers has/, { n_layer: 2 });
    await refused("gpt2-tiny", same(), /h\.3\.ln_1\.weight.* missing/, { n_layer: 4 });
    await refused("gpt2-tiny", same(), /is \[\d+(,\d+)?\], by config\.json it should be/, { n_embd: 128 });
  });

  test("two spellings of one parameter", async () => {
    const twice = renamed("bert-tiny", (name) => name).set(
      "pooler.dense.bias",
      tensorOf("bert-tiny", "bert.pooler.dense.bias"),
    );
    await refused("bert-tiny", twice, /two spellings of one parameter/);
  });

  test("a decoder that is not the embeddings", async () => {
    const { shape, data } = tensorOf("gpt2-tiny", "transformer.wte.weight");
    const other = data.slice();
    other[other.length - 1] += 1;
    const untied = renamed("gpt2-tiny", (name) => name).set("lm_head.weight", { shape, data: other });
    await refused("gpt2-tiny", untied, /lm_head\.weight differs from transformer\.wte\.weight/);
  });
});

test("what createModel writes opens again with the values drawn", async () => {
  const config = {
    model_type: "bert",
    architectures: ["BertModel"],
    vocab_size: 40,
    hidden_size: 16,
    num_hidden_layers: 2,
  };
  const folder = join(root, "created");
  await createModel({ ...config, num_attention_heads: 2, intermediate_size: 24 }, "config.json", folder, { seed: 9 });
  const { model, weights, close, config: written } = await openModel(folder);
  expect(written).toMatchObject({ architectures: ["BertModel"], hidden_act: "gelu", dtype: "float32" });
  for (const parameter of model.parameters) {
    expect(parameter.name.startsWith("bert.")).toBe(false);
    const values = await weights.readF32(parameter.name);
    expect(values.length).toBe(shapeOf(parameter).reduce((product, extent) => product * extent, 1));
    expect(values).toEqual(initialise(parameter, 9));
  }
  await close();
});
