/** What a task is read from: tables of columns, a word a line, questions; and the two kinds of tasks of all positions, stopped and killed. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { finetune } from "../../src/tasks/finetune/finetune.ts";
import { loadTask, type TaskInput } from "../../src/tasks/finetune/settings.ts";
import { type Columns, readExamples, readRows } from "../../src/tasks/finetune/table.ts";
import { Interrupted } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { RandomStream } from "../../src/util/random.ts";
import { fixture, temporaryFolder } from "../support.ts";
import { filesIn, sentencesOf, smallModel, writeQuestions } from "./models.ts";

const root = temporaryFolder();
const file = filesIn(root);
let count = 0;

describe("tables of columns", () => {
  const cells = async (name: string, columns: Columns) =>
    (await readRows(fixture("tables", name), columns, true)).map(({ texts, label }) => [...texts, label]);

  test.each(["list.parquet", "sequence.parquet", "list.arrow", "sequence.arrow"])(
    "lists, classes by name: %s",
    async (name) => {
      expect(await cells(name, { text: ["tokens"], label: "ner_tags" })).toEqual([
        [
          ["Zoë", "Low", "ran"],
          ["B-PER", "I-PER", "O"],
        ],
        [["home"], ["O"]],
      ]);
    },
  );

  test("answers, numbers, classes without names", async () => {
    expect(await cells("questions.parquet", { text: ["question", "context"], label: "answers" })).toEqual([
      ["Where?", "To the café.", { text: ["the café", "café"], answer_start: [3, 7] }],
      ["Why?", "Nothing.", { text: [], answer_start: [] }],
    ]);
    const examples = async (name: string, label: string) =>
      (await readExamples(fixture("tables", name), { text: ["sentence"], label })).map((one) => [
        ...one.texts,
        one.label,
      ]);
    const [one, two, three] = ["one", "two", "three"];
    expect(await examples("classes.parquet", "label")).toEqual([
      [one, "good"],
      [two, "bad"],
      [three, "good"],
    ]);
    expect(await examples("plain.parquet", "label")).toEqual([
      [one, "1"],
      [two, "0"],
      [three, "1"],
    ]);
    expect(await examples("plain.parquet", "value")).toEqual([
      [one, "1.5"],
      [two, "2"],
      [three, "-1"],
    ]);
  });
});

/** The task's files in one form after the other: the same model comes of each. */
async function resultsOf(base: Omit<TaskInput, "out" | "data">, forms: readonly TaskInput["data"][]) {
  const results: string[] = [];
  for (const data of forms) {
    const out = join(root, `out-${count++}`);
    const { model } = await finetune(await loadTask({ ...base, out, data }));
    results.push(readFileSync(join(model, "model.safetensors"), "base64"));
  }
  return results;
}

describe("heads of all positions", () => {
  let base: Omit<TaskInput, "out" | "data" | "task">;
  const sentences = sentencesOf(24, 1);
  const conll = (gap: string, more = "") =>
    sentences
      .map(({ tokens, ner_tags }) => tokens.map((token, i) => `${token}${gap}X${gap}${ner_tags[i]}\n`).join(""))
      .join(`\n${more}`);
  const jsonLines = file(sentences.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const questions = writeQuestions(join(root, "questions.json"), 16, 1);
  // The same, and nothing of what is right.
  const words = file(sentences.map(({ tokens }) => `${JSON.stringify({ tokens })}\n`).join(""));
  const asked = file(
    JSON.stringify(JSON.parse(readFileSync(questions, "utf8")), (key, value) =>
      key === "answers" ? undefined : value,
    ),
  );
  const tasks: Readonly<Record<string, Pick<TaskInput, "task" | "data">>> = {
    tokens: { task: "token-classification", data: { train: jsonLines, validation: jsonLines, test: words } },
    questions: { task: "question-answering", data: { train: questions, validation: questions, test: asked } },
  };
  beforeAll(async () => {
    const from = await smallModel(root, "bert");
    base = {
      model: { from },
      epochs: 2,
      batch: 8,
      length: 32,
      engine: { kind: "onnx", threads: 1 },
      optimizer: { lr: 5e-3 },
    };
  });

  test("a word a line is what JSON Lines are, with tabs or blanks, comments and what parts documents", async () => {
    const data = (path: string) => ({ train: path, validation: path, text: 1, label: 3 });
    const own = { ...base, task: "token-classification", epochs: 1 };
    const [wanted, ...found] = await resultsOf(own, [
      tasks.tokens.data,
      data(file(conll(" ", "-DOCSTART- -X- O\n\n"))),
      data(file(conll("\t", "# sent_id = 7\n"))),
      data(file(conll("  ").replaceAll("\n", "\r\n"))),
    ]);
    expect(found).toEqual(found.map(() => wanted));
  });

  test("SQuAD's JSON is what rows are", async () => {
    const read: { data: { paragraphs: { context: string; qas: { question: string; answers: object[] }[] }[] }[] } =
      JSON.parse(readFileSync(questions, "utf8"));
    const rows = read.data[0].paragraphs.map(({ context, qas: [{ question, answers }] }) => ({
      context,
      question,
      answers,
    }));
    const lines = file(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const named = file(
      rows.map(({ context: c, question: q, answers: a }) => `${JSON.stringify({ c, q, a })}\n`).join(""),
    );
    const pretty = file(JSON.stringify(read, null, 2));
    const [wanted, ...found] = await resultsOf({ ...base, task: "question-answering", epochs: 1 }, [
      tasks.questions.data,
      { train: lines, validation: pretty },
      { train: named, validation: named, text: ["q", "c"], label: "a" },
    ]);
    expect(found).toEqual([wanted, wanted]);
  });

  const bytesOf = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [
        join(entry.parentPath, entry.name).slice(folder.length),
        readFileSync(join(entry.parentPath, entry.name), "base64"),
      ])
      .sort();

  test.each(["tokens", "questions"])(
    "%s learns, is stopped and killed anywhere, and ends with the same bytes",
    async (name) => {
      const [whole, parts] = ["whole", "parts"].map((part) => join(root, `${name}-${part}`));
      const losses: number[] = [];
      const all = { ...base, ...tasks[name], epochs: 4 };
      const result = await finetune(await loadTask({ ...all, out: whole }), {
        progress: ({ loss }) => losses.push(loss),
      });
      expect(losses[losses.length - 1]).toBeLessThan(0.8 * losses[0]);
      expect(Object.keys(result.seeds[0].metrics)).toHaveLength(2);
      expect(result.seeds[0].test).toBeUndefined();
      const read = (part: string): string[] => readFileSync(join(whole, part), "utf8").trimEnd().split("\n");
      const items = read("predictions.jsonl").map((line) => ({ ...JSON.parse(line), gold: null }));
      expect(read("test-predictions.jsonl").map((line) => JSON.parse(line))).toEqual(items);
      expect(items.map(({ id }) => id)).toEqual(items.map((_, i) => (name === "questions" ? `q${i}` : null)));
      let steps = 0;
      const stopped = () => (++steps > 3 ? "SIGTERM" : undefined);
      await expect(finetune(await loadTask({ ...all, out: parts }), { stopped })).rejects.toBeInstanceOf(Interrupted);
      const path = file(JSON.stringify({ ...all, out: parts }));
      const main = join(packageRoot(), "dist", "cli", "main.js");
      const random = new RandomStream(1, `kills of ${name}`);
      let killed = 0;
      for (let life = 0; ; life++) {
        const child = spawn(process.execPath, [main, "finetune", path], { stdio: "ignore" });
        const timer = setTimeout(() => child.kill("SIGKILL"), 700 + 1200 * life * random.uniform(life));
        const code = await new Promise((resolve) => child.on("close", resolve));
        clearTimeout(timer);
        if (code === 0) break;
        expect(code).toBeNull();
        killed++;
        expect(life).toBeLessThan(60);
      }
      expect(killed).toBeGreaterThan(0);
      expect(existsSync(join(parts, "model"))).toBe(true);
      expect(bytesOf(parts)).toEqual(bytesOf(whole));
    },
  );

  test("an evaluation killed again and again leaves its files whole or not at all, and ends with the same bytes", async () => {
    const pairs = sentences.map(({ tokens }) => {
      const good = tokens.slice(0, 3);
      return { good: good.join(" "), bad: good.toReversed().join(" ") };
    });
    const path = file(pairs.map((pair) => `${JSON.stringify(pair)}\n`).join(""));
    const main = join(packageRoot(), "dist", "cli", "main.js");
    const live = async (folder: string, wait: number) => {
      const words = ["--items", `${folder}-items`, "--report", `${folder}-page`, "--engine", "onnx", "--threads", "1"];
      const given = [main, "evaluate", base.model.from, "--task", `minimal-pairs=${path}`, ...words];
      const child = spawn(process.execPath, given, { stdio: "ignore" });
      const timer = setTimeout(() => child.kill("SIGKILL"), wait);
      const code = await new Promise((resolve) => child.on("close", resolve));
      clearTimeout(timer);
      return code === 0;
    };
    const [whole, parts] = [join(root, "evaluated"), join(root, "killed")];
    const began = performance.now();
    expect(await live(whole, 100_000)).toBe(true);
    const took = performance.now() - began;
    const read = (folder: string, part: string) => readFileSync(`${folder}-${part}`, "utf8");
    for (let life = 1; ; life++) {
      const ended = await live(parts, (took * life) / 12);
      for (const part of ["items", "page"]) {
        if (existsSync(`${parts}-${part}`)) expect(read(parts, part)).toBe(read(whole, part));
        else expect(ended).toBe(false);
      }
      if (ended) break;
    }
    const there = readdirSync(root).filter((name) => name.includes("killed"));
    expect(there.sort()).toEqual(["killed-items", "killed-page"]);
  });
});
