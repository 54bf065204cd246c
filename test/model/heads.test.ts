/** What is read of folders whose heads, class or names are not what a model saved for pre-training has. */
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { architectureOf } from "../../src/model/architectures.ts";
import { addHead } from "../../src/model/head.ts";
import { initialise } from "../../src/model/init.ts";
import { openModel } from "../../src/model/load.ts";
import { remarks } from "../../src/model/remarks.ts";
import type { ProbeTensor } from "../../src/probe/probe.ts";
import type { Json } from "../../src/util/json.ts";
import { cli, temporaryFolder } from "../support.ts";
import { checkpoint, folderOf, renamed, tensorOf } from "./support.ts";

type Tensors = Map<string, ProbeTensor>;

/** The fixture's tensors that match, with others beside them. */
function only(name: string, keep: RegExp, more: readonly string[] = []): Tensors {
  const tensors = renamed(name, (tensor) => (keep.test(tensor) ? tensor : undefined));
  for (const extra of more) tensors.set(extra, { shape: [2], data: Float32Array.of(1, 2) });
  return tensors;
}

function configOf(name: string, architectures: Json[string] | undefined): Json {
  const { architectures: _, ...config } = checkpoint(name).config;
  return architectures === undefined ? config : { ...config, architectures };
}

const encoder = /^(bert|roberta)\.(?!pooler)/;
const withPooler = /^bert\./;
const masked = /^(bert\.(?!pooler)|cls\.predictions)/;
const all = /./;

describe("what is stored decides, whatever `architectures` says", () => {
  const cases: [string, string, Json[string] | undefined, Tensors, string, RegExp][] = [
    ["nothing named, a pooler", "bert-tiny", undefined, only("bert-tiny", withPooler), "BertModel", /^$/],
    ["nothing named, no pooler", "bert-tiny", undefined, only("bert-tiny", encoder), "BertModel", /^$/],
    ["an empty list", "bert-tiny", [], only("bert-tiny", encoder), "BertModel", /^$/],
    ["a list of no names", "bert-tiny", [7], only("bert-tiny", masked), "BertForMaskedLM", /^$/],
    ["a string", "bert-tiny", "BertForMaskedLM", only("bert-tiny", masked), "BertForMaskedLM", /^$/],
    ["no pooler", "bert-tiny", ["BertModel"], only("bert-tiny", encoder), "BertModel", /heads .*: it is read without$/],
    [
      "an encoder that says it has a head",
      "bert-tiny",
      ["BertForMaskedLM"],
      only("bert-tiny", withPooler),
      "BertModel",
      /names BertForMaskedLM and not all .*: it is read as BertModel$/,
    ],
    [
      "a language model that says it has more heads",
      "bert-tiny",
      ["BertForPreTraining"],
      only("bert-tiny", masked),
      "BertForMaskedLM",
      /read as BertForMaskedLM$/,
    ],
    [
      "a language model that says it is an encoder",
      "bert-tiny",
      "BertModel",
      only("bert-tiny", masked),
      "BertForMaskedLM",
      /read as BertForMaskedLM$/,
    ],
    ["less than is stored", "bert-tiny", ["BertForMaskedLM"], only("bert-tiny", all), "BertForPreTraining", /^$/],
    [
      "a class of one's own",
      "roberta-tiny",
      ["MyRoberta"],
      only("roberta-tiny", all),
      "RobertaForMaskedLM",
      /names MyRoberta: it is read as RobertaForMaskedLM$/,
    ],
    [
      "classification",
      "bert-tiny",
      ["BertForSequenceClassification"],
      only("bert-tiny", withPooler, ["classifier.weight", "classifier.bias"]),
      "BertModel",
      /names BertForSequenceClassification: it is read as BertModel\nclassifier\.bias, classifier\.weight left out/,
    ],
    [
      "token classification",
      "bert-tiny",
      ["BertForTokenClassification"],
      only("bert-tiny", encoder, ["classifier.weight", "classifier.bias"]),
      "BertModel",
      /classifier\.bias, classifier\.weight left out/,
    ],
    [
      "question answering",
      "roberta-tiny",
      ["RobertaForQuestionAnswering"],
      only("roberta-tiny", encoder, ["qa_outputs.weight", "qa_outputs.bias"]),
      "RobertaModel",
      /qa_outputs\.bias, qa_outputs\.weight left out/,
    ],
    [
      "RoBERTa's classifier of two layers",
      "roberta-tiny",
      ["RobertaForSequenceClassification"],
      only("roberta-tiny", encoder, [
        ...["classifier.dense.weight", "classifier.dense.bias"],
        ...["classifier.out_proj.weight", "classifier.out_proj.bias", "lm_head.decoder.bias"],
      ]),
      "RobertaModel",
      /classifier\.out_proj\.weight and 1 more left out/,
    ],
    [
      "a classifier beside a language model",
      "bert-tiny",
      ["BertForMaskedLM"],
      only("bert-tiny", masked, ["classifier.weight"]),
      "BertForMaskedLM",
      /^classifier\.weight left out: heads that are not BertForMaskedLM's$/,
    ],
    [
      "GPT-2's classifier",
      "gpt2-tiny",
      ["GPT2ForSequenceClassification"],
      only("gpt2-tiny", all, ["score.weight"]),
      "GPT2Model",
      /read as GPT2Model\nscore\.weight left out/,
    ],
    [
      "GPT-2's two heads",
      "gpt2-tiny",
      ["GPT2DoubleHeadsModel"],
      only("gpt2-tiny", all, ["multiple_choice_head.summary.weight"]),
      "GPT2LMHeadModel",
      /read as GPT2LMHeadModel\nmultiple_choice_head/,
    ],
    ["GPT-2, nothing named", "gpt2-tiny", undefined, only("gpt2-tiny", all), "GPT2LMHeadModel", /^$/],
    ["GPT-2, a bare one", "gpt2-tiny", "GPT2Model", only("gpt2-tiny", all), "GPT2Model", /^$/],
    [
      "GPT-2, a bare one with a head stored",
      "gpt2-tiny",
      ["GPT2Model"],
      only("gpt2-tiny", all).set("lm_head.weight", tensorOf("gpt2-tiny", "transformer.wte.weight")),
      "GPT2LMHeadModel",
      /^$/,
    ],
  ];
  test.each(cases)("%s (%s, %j)", async (_, name, architectures, tensors, found, said) => {
    const open = await openModel(await folderOf(configOf(name, architectures), tensors));
    expect(open.model.config.architectures).toEqual([found]);
    // Every parameter of that class is there, and the values are the ones stored.
    for (const parameter of open.model.parameters) {
      const stored = tensors.get(open.weights.storedName(parameter.name));
      expect(await open.weights.readF32(parameter.name)).toEqual(stored?.data);
    }
    const { outputs } = open.model;
    const text = await remarks(open, { ...outputs, lm: "tied" });
    expect(text.join("\n")).toMatch(said);
    const missing = outputs.lm !== "none" ? [] : [expect.stringMatching(/^there is no language-model head/)];
    expect(await remarks(open)).toEqual([...text, ...missing]);
    await open.close();
  });
});

test.each([
  ["bert-tiny", (name: string) => `module.${name}`],
  ["bert-tiny", (name: string) => `_orig_mod.module.${name.replace(/^bert\./, "")}`],
  ["roberta-tiny", (name: string) => `module._orig_mod.${name}`],
  ["roberta-tiny", (name: string) => name.replace(/layer\.(\d+)\./, "layer.$1._orig_mod.")],
  ["gpt2-tiny", (name: string) => `_orig_mod.${name}`],
  ["gpt2-tiny", (name: string) => `_fsdp_wrapped_module.${name.replace(/h\.(\d+)\./, "h.$1._fsdp_wrapped_module.")}`],
])("names that PyTorch's wrappers have changed: %s, %s", async (name, change) => {
  const open = await openModel(await folderOf(checkpoint(name).config, renamed(name, change)));
  for (const parameter of open.model.parameters) {
    expect(await open.weights.readF32(parameter.name)).toEqual(tensorOf(name, parameter.name).data);
  }
  expect(open.model.parameters.length).toBe(checkpoint(name).tensors.size);
  await open.close();
});

test("whether a head that is not there is tied says nothing until it is there", async () => {
  const config = { ...configOf("bert-tiny", ["BertModel"]), tie_word_embeddings: false };
  const open = await openModel(await folderOf(config, only("bert-tiny", withPooler)));
  expect(open.model.config.architectures).toEqual(["BertModel"]);
  const untied = addHead(open, 0);
  expect(untied.model.outputs.lm).toBe("untied");
  expect(await untied.weights.readF32("cls.predictions.decoder.weight")).toHaveLength(120 * 64);
  await open.close();
});

test("a name with and without its wrapper is one too many", async () => {
  const name = "bert.pooler.dense.bias";
  const twice = renamed("bert-tiny", (tensor) => tensor).set(`module.${name}`, tensorOf("bert-tiny", name));
  await expect(openModel(await folderOf(checkpoint("bert-tiny").config, twice))).rejects.toThrow(/two spellings/);
});

test("reordered attention is the same attention", () => {
  const config = { ...checkpoint("gpt2-tiny").config, reorder_and_upcast_attn: true };
  const model = architectureOf(config, "c").model(config, "c");
  expect(model.settings).toEqual(architectureOf(config, "c").model(checkpoint("gpt2-tiny").config, "c").settings);
  expect(model.config.reorder_and_upcast_attn).toBe(true);
});

test("an adapter beside the weights is said", async () => {
  const folder = await folderOf(checkpoint("bert-tiny").config, only("bert-tiny", all));
  writeFileSync(join(folder, "adapter_config.json"), "{}");
  const open = await openModel(folder);
  expect((await remarks(open)).join()).toMatch(/adapter beside the weights \(adapter_config\.json\) is not read/);
  await open.close();
  expect(cli(["inspect", folder]).stdout).toMatch(/note {11}the adapter beside the weights/);
});

test("`inspect` says that the head is missing and what to do, and names the class that is stored", async () => {
  const folder = await folderOf(configOf("bert-tiny", undefined), only("bert-tiny", withPooler));
  const { stdout } = cli(["inspect", folder]);
  expect(stdout).toMatch(/^BertModel /);
  expect(stdout).toMatch(/output heads {3}pooler\n/);
  expect(stdout).toMatch(/note {11}there is no language-model head.*`bert2bert grow … --add-head`.*`add-head: true`/);
  expect(JSON.parse(cli(["inspect", folder, "--json"]).stdout).notes).toHaveLength(1);
});

describe("a head that is added", () => {
  test("is drawn as for a new model, all else is as stored", async () => {
    const open = await openModel(await folderOf(configOf("bert-tiny", ["BertModel"]), only("bert-tiny", withPooler)));
    const { model, weights } = addHead(open, 5);
    expect(model.config.architectures).toEqual(["BertForMaskedLM"]);
    const drawn: string[] = [];
    for (const parameter of model.parameters) {
      const values = await weights.readF32(parameter.name);
      const stored = checkpoint("bert-tiny").tensors.get(parameter.name);
      if (parameter.name.startsWith("cls.")) drawn.push(parameter.name);
      expect(values).toEqual(parameter.name.startsWith("cls.") ? initialise(parameter, 5) : stored?.data);
    }
    expect(drawn).toHaveLength(5);
    await open.close();
  });

  test("of a next-sentence model leaves its heads", async () => {
    const tensors = only("bert-tiny", /^(bert\.|cls\.seq)/);
    const open = await openModel(await folderOf(configOf("bert-tiny", undefined), tensors));
    expect(open.model.config.architectures).toEqual(["BertForNextSentencePrediction"]);
    const { model, weights } = addHead(open, 5);
    expect(model.config.architectures).toEqual(["BertForPreTraining"]);
    for (const [name, { data }] of tensors) expect(await weights.readF32(name)).toEqual(data);
    await open.close();
  });

  test("is not added twice", async () => {
    const open = await openModel(await folderOf(checkpoint("gpt2-tiny").config, only("gpt2-tiny", all)));
    expect(() => addHead(open, 0)).toThrow(/has a language-model head already/);
    await open.close();
  });
});

describe("the Hub's cache", () => {
  /** snapshots/REV/…, each file a link to blobs/HASH. @returns the folder in the snapshot */
  async function cached(below: string): Promise<{ cache: string; folder: string }> {
    const made = await folderOf(checkpoint("bert-tiny").config, only("bert-tiny", all));
    const cache = join(temporaryFolder(), "models--some--model");
    const folder = join(cache, "snapshots", "rev", below);
    mkdirSync(join(cache, "blobs"), { recursive: true });
    mkdirSync(folder, { recursive: true });
    const up = "../".repeat(2 + below.split("/").filter((part) => part !== "").length);
    for (const name of ["config.json", "model.safetensors"]) {
      renameSync(join(made, name), join(cache, "blobs", `hash-${name}`));
      symlinkSync(`${up}blobs/hash-${name}`, join(folder, name));
    }
    return { cache, folder };
  }

  test.each(["", "sub", "sub/deeper", "snapshots/odd"])("opens a model below it: snapshots/REV/%s", async (below) => {
    const { folder } = await cached(below);
    const open = await openModel(folder);
    expect(open.model.parameters.length).toBe(checkpoint("bert-tiny").tensors.size);
    await open.close();
  });

  test("a link to anywhere else is refused as before", async () => {
    const { cache, folder } = await cached("sub");
    for (const place of [join(cache, "secret"), join(cache, "blobs", "inner", "secret")]) {
      mkdirSync(join(cache, "blobs", "inner"), { recursive: true });
      writeFileSync(place, "{}");
      renameSync(join(folder, "config.json"), join(folder, "old"));
      symlinkSync(place, join(folder, "config.json"));
      await expect(openModel(folder)).rejects.toThrow(/a link that leads out of its folder/);
      renameSync(join(folder, "old"), join(folder, "config.json"));
    }
  });
});
