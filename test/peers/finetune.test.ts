/** Fine-tuning against a PyTorch loop on the same batches; metrics against scikit-learn and scipy. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeConfig } from "../../src/checkpoint/folder.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { templateOf } from "../../src/data/tokenizer/template.ts";
import { openTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { openModel } from "../../src/model/load.ts";
import { shapeOf } from "../../src/model/table.ts";
import { withTaskHead } from "../../src/model/task-head.ts";
import { batchOf, encodeTexts, longestFirst, orderOf } from "../../src/tasks/finetune/examples.ts";
import { finetune } from "../../src/tasks/finetune/finetune.ts";
import { metrics } from "../../src/tasks/finetune/metrics.ts";
import { loadTask } from "../../src/tasks/finetune/settings.ts";
import { readExamples } from "../../src/tasks/finetune/table.ts";
import { factorAt } from "../../src/train/plan/schedule.ts";
import type { Json } from "../../src/util/json.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { RandomStream } from "../../src/util/random.ts";
import { python, temporaryFolder } from "../support.ts";
import { smallModel, writeTable } from "../tasks/models.ts";

const peer = python(["torch", "transformers"]);
const learn = python(["sklearn", "scipy", "torch", "transformers"]);
const script = readFileSync(join(packageRoot(), "test", "peers", "finetune.py"), "utf8");
const root = temporaryFolder();
const steps = 20;

/** A run of 20 steps, and all that a loop elsewhere needs to take the same ones. */
async function trained(
  kind: "bert" | "roberta" | "distilbert" | "modernbert" | "gpt2",
  task: "classification" | "regression",
  layerDecay: number,
) {
  const from = await smallModel(root, kind);
  const train = writeTable(join(root, `${kind}.tsv`), 6 * steps, 1);
  const text: [string, string] | string = task === "regression" ? ["a", "b"] : "a";
  const loaded = await loadTask({
    out: join(root, `${kind}-out`),
    ...{ model: { from }, task, epochs: 1, batch: 6, length: 24, seed: 3, engine: { kind: "onnx", threads: 1 } },
    data: { train, validation: train, text, label: task === "regression" ? "value" : "class" },
    optimizer: { lr: 1e-3, dropout: 0, layer_decay: layerDecay },
    schedule: { warmup: 0.2 },
  });
  const losses: number[] = [];
  const result = await finetune(loaded, { progress: ({ loss }) => losses.push(loss) });
  const { settings } = loaded;
  const examples = await readExamples(train, settings.data);
  const opened = await openModel(from);
  const padding = opened.model.config.pad_token_id ?? 0;
  const types: Json =
    task === "regression" ? { problem_type: "regression", id2label: { 0: "v" } } : { id2label: { 0: "no", 1: "yes" } };
  const headed = withTaskHead(opened, "sequence", task === "regression" ? 1 : 2, 3, {
    ...types,
    pad_token_id: padding,
  });
  const folder = join(root, `${kind}-start`);
  mkdirSync(folder);
  await writeConfig(folder, { ...headed.model.config, ...quiet });
  const tensors = headed.model.parameters.map((parameter) => ({
    ...{ name: parameter.name, dtype: "F32" as const, shape: shapeOf(parameter) },
    data: () => headed.readF32(parameter.name),
  }));
  await writeWeights(folder, tensors);
  const tokenizer = await openTokenizer(from);
  const encoding = { model: headed.model, tokenizer, template: templateOf(tokenizer.description.json), most: 24 };
  const encoded = await encodeTexts(encoding, "training", examples, ({ label }) =>
    task === "regression" ? Number(label) : Number(label === "yes"),
  );
  await opened.close();
  const order = orderOf(encoded.length, 3, 0);
  const batches = Array.from({ length: steps }, (_, i) => {
    const some = Array.from(order.subarray(6 * i, 6 * i + 6), (n) => encoded[n]);
    const { form, inputs } = batchOf(headed, some, 6, task === "regression" ? "values" : "classes");
    return {
      length: form.length,
      ...Object.fromEntries(Object.entries(inputs).map(([name, values]) => [name, [...values]])),
    };
  });
  const rates = batches.map((_, i) => 1e-3 * factorAt(settings.schedule, i, steps));
  const { layers } = headed.model.dimensions;
  // By name alone: blocks are numbered, embeddings lie below them, all else above.
  const shares = headed.model.parameters.map(({ name }) => {
    const block = /\.(?:layer|h)\.(\d+)\./.exec(name)?.[1];
    const above = block !== undefined ? layers - Number(block) : /embeddings|wte|wpe/.test(name) ? layers + 1 : 0;
    return [name, layerDecay ** above] as const;
  });
  return {
    losses,
    result,
    items: readFileSync(join(settings.out, "predictions.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line): { probabilities?: Record<string, number>; prediction: string } => JSON.parse(line)),
    left: { folder: result.model, texts: examples.map(({ texts }) => texts), length: 24 },
    case: { folder, batches, rates, shares: Object.fromEntries(shares), weight_decay: 0.01, clip: 1 },
  };
}

const quiet = {
  ...{ hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, classifier_dropout: 0 },
  ...{ dropout: 0, attention_dropout: 0, seq_classif_dropout: 0 },
  ...{ resid_pdrop: 0, embd_pdrop: 0, attn_pdrop: 0 },
};

describe.skipIf(peer === undefined)("fine-tuning", () => {
  test("has the losses of a PyTorch loop, and transformers opens what it leaves", async () => {
    const all = [
      await trained("bert", "classification", 1),
      await trained("roberta", "regression", 1),
      await trained("gpt2", "classification", 0.8),
      await trained("distilbert", "classification", 0.9),
      await trained("modernbert", "classification", 1),
    ];
    const [path, out] = [join(root, "cases.json"), join(root, "losses.json")];
    writeFileSync(path, JSON.stringify(all.map((one) => one.case)));
    peer?.run(script, ["train", path, out]);
    const wanted: number[][] = JSON.parse(readFileSync(out, "utf8"));
    for (const [i, { losses }] of all.entries()) {
      expect(losses.length).toBe(steps);
      for (const [step, loss] of losses.entries()) {
        expect(Math.abs(loss - wanted[i][step]), `case ${i}, step ${step + 1}`).toBeLessThan(1e-5);
      }
    }
    writeFileSync(path, JSON.stringify(all.map(({ left }) => left)));
    peer?.run(script, ["open", path, out]);
    const said: [string, string[], string[], number[][]][] = JSON.parse(readFileSync(out, "utf8"));
    expect(said.map((one) => one.slice(0, 3))).toEqual(
      ["Bert", "Roberta", "GPT2", "DistilBert", "ModernBert"].map((name) => [
        `${name}ForSequenceClassification`,
        [],
        [],
      ]),
    );
    for (const [i, { items }] of all.entries()) {
      const predicted = said[i][3];
      expect(items.length).toBe(predicted.length);
      for (const [row, { prediction, probabilities }] of items.entries()) {
        const found = probabilities === undefined ? [Number(prediction)] : Object.values(probabilities);
        for (const [n, value] of found.entries()) expect(Math.abs(value - predicted[row][n])).toBeLessThan(1e-5);
        if (probabilities === undefined) continue;
        expect(prediction).toBe(probabilities.yes > probabilities.no ? "yes" : "no");
      }
    }
  });
});

describe.skipIf(learn === undefined)("metrics", () => {
  test("are scikit-learn's and scipy's, edge cases too", () => {
    const random = new RandomStream(1, "test/metrics");
    const draw = (classes: number, from: number) =>
      Array.from({ length: 1000 }, (_, i) => random.below(classes, from + i));
    const values = (from: number) => Array.from({ length: 1000 }, (_, i) => random.normal(from + i));
    const cases: ["classification" | "regression", number[], number[]][] = [
      ["classification", draw(2, 0), draw(2, 1000)],
      ["classification", draw(3, 2000), draw(3, 3000)],
      ["classification", [0, 0, 0, 0], [0, 1, 0, 1]],
      ["classification", [0, 1, 0, 1], [0, 0, 0, 0]],
      ["classification", [0, 0, 0], [0, 0, 0]],
      ["classification", [1, 1, 1], [1, 1, 1]],
      ["classification", [2, 2, 2], [0, 1, 2]],
      ["regression", values(4000), values(5000)],
      // Ties in both.
      ["regression", draw(5, 6000), draw(4, 7000)],
      ["regression", [1, 1, 1], [1, 2, 3]],
      ["regression", [3, 2, 1], [1, 2, 3]],
    ];
    const [path, out] = [join(root, "predictions.json"), join(root, "metrics.json")];
    writeFileSync(path, JSON.stringify(cases));
    learn?.run(script, ["metrics", path, out]);
    const wanted: Record<string, number | null>[] = JSON.parse(readFileSync(out, "utf8"));
    cases.forEach(([task, found, of], i) => {
      for (const [name, metric] of Object.entries(metrics[task])) {
        const value = metric(found, of);
        if (wanted[i][name] === null) expect(value, `${name} of case ${i}`).toBeNaN();
        else expect(value, `${name} of case ${i}`).toBeCloseTo(Number(wanted[i][name]), 10);
      }
    });
  });
});

const cutting = `
import json
from tokenizers import Tokenizer, models, pre_tokenizers
words = Tokenizer(models.WordLevel({"?": 0, "x": 1, "y": 2}, unk_token="?"))
words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
found = []
for most in range(1, 15):
    words.enable_truncation(most, strategy="longest_first")
    for a in range(1, 18):
        for b in range(1, 18):
            ids = words.encode("x " * a, "y " * b).ids
            found.append([a, b, most, ids.count(1), ids.count(2)])
print(json.dumps(found))
`;

test.skipIf(learn === undefined)("pairs are cut as Python's tokenizers cuts them, longest first", () => {
  const found: number[][] = JSON.parse(learn?.run(cutting, []) ?? "[]");
  expect(found).toHaveLength(14 * 17 * 17);
  expect(found.map(([a, b, most]) => [a, b, most, ...longestFirst(a, b, most)])).toEqual(found);
});
