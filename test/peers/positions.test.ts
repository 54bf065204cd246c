/**
 * Question answering and token classification against transformers and a PyTorch loop: windows, labels, losses, what the
 * folders give when transformers opens them, and the scores of SQuAD's script and of seqeval.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { writeConfig } from "../../src/checkpoint/folder.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { templateOf } from "../../src/data/tokenizer/template.ts";
import { openTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { openEngine } from "../../src/engine/engines.ts";
import { openModel } from "../../src/model/load.ts";
import { shapeOf } from "../../src/model/table.ts";
import { withTaskHead } from "../../src/model/task-head.ts";
import { batchOf, orderOf } from "../../src/tasks/finetune/examples.ts";
import { finetune } from "../../src/tasks/finetune/finetune.ts";
import { predictingProgram } from "../../src/tasks/finetune/programs.ts";
import { answerScores } from "../../src/tasks/finetune/questions.ts";
import { loadTask } from "../../src/tasks/finetune/settings.ts";
import { entityF1 } from "../../src/tasks/finetune/tokens.ts";
import { factorAt } from "../../src/train/plan/schedule.ts";
import { writeModel } from "../../src/train/run/checkpoint.ts";
import { loadState } from "../../src/train/step/state.ts";
import type { Json } from "../../src/util/json.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { RandomStream } from "../../src/util/random.ts";
import { python, temporaryFolder } from "../support.ts";
import { sentencesOf, smallModel, writeQuestions } from "../tasks/models.ts";

const peer = python(["torch", "transformers"]);
const seqeval = python(["torch", "transformers", "seqeval"]);
const script = readFileSync(join(packageRoot(), "test", "peers", "positions.py"), "utf8");
const root = temporaryFolder();
const [length, stride] = [48, 8];

function asked<T>(command: string, cases: readonly unknown[]): readonly T[] {
  const [path, out] = [join(root, "cases.json"), join(root, "answers.json")];
  writeFileSync(path, JSON.stringify(cases));
  (seqeval ?? peer)?.run(script, [command, path, out]);
  return JSON.parse(readFileSync(out, "utf8"));
}

const train = { "question-answering": join(root, "train.json"), "token-classification": join(root, "train.jsonl") };
const dev = { "question-answering": join(root, "dev.json"), "token-classification": join(root, "dev.jsonl") };
writeQuestions(train["question-answering"], 60, 1);
writeQuestions(dev["question-answering"], 24, 2);
const lines = (count: number, seed: number) =>
  sentencesOf(count, seed)
    .map((row) => `${JSON.stringify(row)}\n`)
    .join("");
const odd = { tokens: ["", " cat", "dog", "a  b"], ner_tags: ["O", "B-PER", "O", "B-LOC"] };
writeFileSync(train["token-classification"], `${lines(120, 1)}${JSON.stringify(odd)}\n`);
writeFileSync(dev["token-classification"], lines(40, 2));

function rowsOf(path: string): readonly unknown[] {
  const text = readFileSync(path, "utf8");
  if (!path.endsWith(".json")) {
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  }
  const read: { data: { paragraphs: { context: string; qas: object[] }[] }[] } = JSON.parse(text);
  return read.data[0].paragraphs.map(({ context, qas }) => ({ context, ...qas[0] }));
}

type Task = keyof typeof train;

interface Item {
  readonly id: string | null;
  readonly prediction: string | readonly (string | null)[];
  readonly probabilities: readonly (number | null)[];
  readonly null_score: number;
  readonly answers: readonly { text: string; score: number; start: number | null; probability: number }[];
}

function itemsOf(out: string): readonly Item[] {
  const lines = readFileSync(join(out, "predictions.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line));
}

function expectClose(found: readonly number[], wanted: readonly number[]): void {
  expect(found.length).toBe(wanted.length);
  for (const [i, value] of found.entries()) expect(Math.abs(value - wanted[i])).toBeLessThan(1e-5);
}

/** Against transformers' own, by the parts of `score` in positions.py. */
function expectSame(item: Item, wanted: unknown): void {
  const list = Array.isArray(wanted) ? wanted : [];
  if (item.answers === undefined) {
    const kept = item.probabilities.flatMap((share, n) => (share === null ? [] : [[item.prediction[n], share]]));
    expect(kept.map(([label]) => label)).toEqual(list.map(([label]) => label));
    const shares = kept.map(([, share]) => Number(share));
    expectClose(
      shares,
      list.map(([, share]) => share),
    );
    return;
  }
  const [text, none, answers] = list;
  expect(item.prediction).toBe(text);
  const numbers = item.answers.map(({ score, probability }) => [score, probability]);
  expectClose([item.null_score, ...numbers.flat()], [none, ...answers.flatMap((one: number[]) => [one[0], one[3]])]);
  // As good as alike: either may come first, or be the last that is listed.
  const last = item.answers[item.answers.length - 1].score;
  for (const own of item.answers) {
    const same = answers.some(
      ([score, text, start]: unknown[]) =>
        text === own.text && start === own.start && Math.abs(Number(score) - own.score) < 1e-5,
    );
    expect(same || own.score - last < 1e-5, JSON.stringify(own)).toBe(true);
  }
}

/** 20 steps, and what transformers needs to take the same ones and to read the same files. */
async function trained(kind: "bert" | "roberta" | "gpt2", task: Task, threshold = 0) {
  const positions: Json = kind === "gpt2" ? { n_positions: length } : { max_position_embeddings: length + 2 };
  const from = await smallModel(join(root, task), kind, positions);
  const loaded = await loadTask({
    out: join(root, `${kind}-${task}`),
    ...{ model: { from }, task, epochs: 1, batch: 6, length, seed: 3, engine: { kind: "onnx", threads: 1 } },
    data: { train: train[task], validation: dev[task] },
    ...(task === "question-answering" ? { questions: { stride, null_threshold: threshold } } : {}),
    optimizer: { lr: 1e-3, dropout: 0 },
  });
  const losses: number[] = [];
  const { seeds, model } = await finetune(loaded, { progress: ({ loss }) => losses.push(loss) });
  const { settings } = loaded;
  const opened = await openModel(from);
  const tokenizer = await openTokenizer(from);
  const template = templateOf(tokenizer.description.json);
  const data = await settings.kind.load(settings, { model: opened.model, tokenizer, template, most: length });
  const padding = { pad_token_id: opened.model.config.pad_token_id ?? 0 };
  const headed = withTaskHead(opened, settings.kind.head, data.labels, 3, { ...data.config, ...padding });
  const folder = join(root, `${kind}-${task}-start`);
  mkdirSync(folder);
  const rates = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0, classifier_dropout: 0, hidden_dropout: 0 };
  await writeConfig(folder, { ...headed.model.config, ...rates, resid_pdrop: 0, embd_pdrop: 0, attn_pdrop: 0 });
  const tensors = headed.model.parameters.map((parameter) => ({
    ...{ name: parameter.name, dtype: "F32" as const, shape: shapeOf(parameter) },
    data: () => headed.readF32(parameter.name),
  }));
  await writeWeights(folder, tensors);
  await opened.close();
  const steps = Math.ceil(data.train.length / 6);
  const order = orderOf(data.train.length, 3, 0);
  const batches = Array.from({ length: Math.min(20, steps) }, (_, i) => {
    const some = Array.from(order.subarray(6 * i, 6 * i + 6), (n) => data.train[n]);
    const { form, inputs } = batchOf(headed, some, some.length, settings.kind.loss);
    const everywhere = some.flatMap(({ at, labels }) =>
      Array.from({ length: form.length }, (_, place) => labels[at?.indexOf(place) ?? -1] ?? -100),
    );
    const labels = task === "token-classification" ? everywhere : [...inputs.labels];
    const [ids, mask, types] = [inputs.ids, inputs.mask, inputs.types].map((values) => [...values]);
    return { length: form.length, ids, mask, types, labels };
  });
  return {
    ...{ kind, task, losses: losses.slice(0, 20), seeds, data, items: itemsOf(loaded.settings.out) },
    steps: { folder, task, batches, rates: batches.map((_, i) => 1e-3 * factorAt(settings.schedule, i, steps)) },
    read: { folder: from, task, rows: rowsOf(train[task]), length, stride },
    left: { folder: model, task, rows: rowsOf(dev[task]), length, stride, threshold },
  };
}

describe.skipIf(seqeval === undefined)("heads of all positions", () => {
  test.each(["question-answering", "token-classification"] satisfies Task[])("%s is transformers'", async (task) => {
    // A threshold that some questions pass, and one that none does.
    const all = [await trained("bert", task), await trained("roberta", task, 4), await trained("gpt2", task, 6)];
    const losses = asked<number[]>(
      "train",
      all.map(({ steps }) => steps),
    );
    all.forEach((one, i) => {
      expect(one.losses.length).toBeGreaterThan(10);
      for (const [step, loss] of one.losses.entries())
        expect(Math.abs(loss - losses[i][step]), `${one.kind}, step ${step + 1}`).toBeLessThan(1e-5);
    });
    const encoded = asked<[number[], (number | string)[]][]>(
      "encode",
      all.map(({ read }) => read),
    );
    all.forEach(({ data }, i) => {
      const names = Object.values(data.config.id2label ?? {});
      const ours = data.train.map(({ ids, at, labels }) => {
        if (task === "question-answering") return [ids, labels];
        return [ids, ids.map((_, place) => names[labels[at?.indexOf(place) ?? -1]] ?? -100)];
      });
      expect(ours).toEqual(encoded[i]);
    });
    const opened = asked<unknown[]>(
      "score",
      all.map(({ left }) => left),
    );
    const name = task === "question-answering" ? "ForQuestionAnswering" : "ForTokenClassification";
    all.forEach(({ kind, seeds, items }, i) => {
      const predicted = Object(opened[i][4]);
      expect(items.length).toBe(predicted.length);
      for (const [row, item] of items.entries()) expectSame(item, predicted[row]);
      if (task === "question-answering" && kind !== "bert") {
        // The threshold decides otherwise than 0 would.
        const odds = items.map(({ null_score, answers }) => {
          return null_score - (answers.find(({ start }) => start !== null)?.score ?? Number.NEGATIVE_INFINITY);
        });
        expect(items.some(({ prediction }, row) => (prediction === "") !== odds[row] > 0)).toBe(true);
      }
      const title = { bert: "Bert", roberta: "Roberta", gpt2: "GPT2" }[kind];
      expect(opened[i].slice(0, 3)).toEqual([title + name, [], []]);
      const metrics = Object.entries(seeds[0].metrics);
      expect(metrics).toHaveLength(2);
      const wanted = Object.entries(Object(opened[i][3]));
      for (const [metric, value] of metrics) expect(value).toBeCloseTo(Number(new Map(wanted).get(metric)), 9);
    });
  });

  test("entities are seqeval's, of labels of any scheme and of none", () => {
    const random = new RandomStream(1, "test/entities");
    const tags = ["O", "B-A", "I-A", "B-B", "I-B", "E-A", "S-B", "I-A-x", "B", "I", "X-A", "NN", "."];
    const drawn = (from: number, most: number) =>
      Array.from({ length: 5 }, (_, s) =>
        Array.from(
          { length: 1 + random.below(9, from + 100 * s) },
          (_, i) => tags[random.below(most, from + 100 * s + i + 1)],
        ),
      );
    const cases = Array.from({ length: 400 }, (_, n) => {
      const wanted = drawn(1000 * n, n % 2 === 0 ? 5 : tags.length);
      const found = wanted.map((own, s) =>
        own.map((tag, i) => (random.below(3, 1000 * n + 600 + 20 * s + i) > 0 ? tag : "O")),
      );
      return [found, wanted] as const;
    });
    const wanted = asked<number>("entities", cases);
    cases.forEach(([found, of], i) => {
      expect(entityF1(found, of), `case ${i}`).toBeCloseTo(wanted[i], 12);
    });
    expect(new Set(wanted).size).toBeGreaterThan(100);
  });
});

test.skipIf(peer === undefined)("the heads of every architecture say what transformers' classes do", async () => {
  const sequences = [
    [5, 9, 11, 7, 300, 8, 2],
    [4, 17],
    [6, 33, 21, 90, 12],
  ];
  const all = ["bert", "roberta", "distilbert", "modernbert", "gpt2", "llama", "mistral", "qwen2", "qwen3"];
  const folders: string[] = [];
  const found: number[][][] = [];
  for (const architecture of all) {
    const opened = await openModel(await smallModel(join(root, "heads"), architecture, {}));
    for (const [kind, labels] of [
      ["sequence", 3],
      ["tokens", 4],
      ["spans", 2],
    ] as const) {
      const config = {
        id2label: Object.fromEntries(Array.from({ length: labels }, (_, i) => [i, `L${i}`])),
        pad_token_id: 1,
      };
      const headed = withTaskHead(opened, kind, labels, 3, config);
      const engine = await openEngine({ kind: "onnx", threads: 1, precision: "f32" });
      await loadState(engine, headed.model, headed, opened.folder, undefined);
      const folder = join(root, `${architecture}-${kind}`);
      await writeModel(folder, engine, headed.model, { files: new Map(), growth: undefined }, { title: "", facts: [] });
      folders.push(folder);
      const examples = sequences.map((ids) => ({ ids, types: ids.map(() => 0), labels: [] }));
      const { form, inputs } = batchOf(headed, examples, 3, kind === "spans" ? "spans" : "classes");
      const program = await engine.compile(predictingProgram(headed, form));
      const { logits } = await program.run(inputs);
      const each = logits.length / 3;
      found.push(
        sequences.map((ids, row) => [
          ...logits.slice(row * each, row * each + (kind === "sequence" ? 3 : labels * ids.length)),
        ]),
      );
      await engine.close();
      // What it was made from is found in it again.
      const again = await openModel(folder);
      for (const { name } of again.model.parameters.slice(0, 5))
        expect(await again.weights.readF32(name)).toEqual(await headed.readF32(again.weights.storedName(name)));
      await again.close();
    }
    await opened.close();
  }
  const wanted = asked<[string, string[], string[], number[][]]>(
    "heads",
    folders.map((folder) => ({ folder, sequences })),
  );
  for (const [i, [name, missing, unexpected, logits]] of wanted.entries()) {
    expect([name, missing, unexpected]).toEqual([name, [], []]);
    expect(name).toMatch(/For(SequenceClassification|TokenClassification|QuestionAnswering)$/);
    for (const [row, own] of logits.entries()) expectClose(found[i][row], own);
  }
});

test.skipIf(peer === undefined)("answers are scored as SQuAD's scripts do", () => {
  const random = new RandomStream(1, "test/answers");
  const words = "The a an the. Cat, cat's CAT don’t -- Zoë A-the thé naïve 3 ½ , the_end ISS über 😀".split(" ");
  const text = (from: number) =>
    Array.from({ length: random.below(6, from) }, (_, i) => words[random.below(words.length, from + i + 1)]).join(" ");
  const cases = Array.from({ length: 1000 }, (_, n) => {
    const wanted = Array.from({ length: 1 + random.below(3, 100 * n) }, (_, i) => text(100 * n + 10 * i + 10));
    const found = n % 3 === 0 ? wanted[0].toUpperCase() : text(100 * n + 50);
    const version = n % 2 === 0 ? 2 : 1;
    return [found, version === 2 && n % 10 === 0 ? [] : wanted, version] as const;
  });
  const wanted = asked<[number, number]>("answers", cases);
  cases.forEach(([found, right, version], i) => {
    const { exact_match, f1 } = answerScores(found, right, version === 2);
    expect(exact_match, `case ${i}`).toBe(wanted[i][0]);
    expect(f1, `case ${i}`).toBeCloseTo(wanted[i][1], 12);
  });
  expect(cases.filter(([found]) => found.trim() === "").length).toBeGreaterThan(20);
});
