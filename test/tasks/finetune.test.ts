/** `finetune`: files as they come, what is cut, seeds and early stopping; stopped and killed anywhere it ends with the same bytes. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { longestFirst } from "../../src/tasks/finetune/examples.ts";
import { finetune } from "../../src/tasks/finetune/finetune.ts";
import { loadTask, type TaskInput } from "../../src/tasks/finetune/settings.ts";
import { readExamples } from "../../src/tasks/finetune/table.ts";
import { Interrupted } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { temporaryFolder } from "../support.ts";
import { filesIn, smallModel, writeTable } from "./models.ts";

const root = temporaryFolder();
const file = filesIn(root);
let count = 0;

describe("examples", () => {
  const read = async (text: string, columns: Parameters<typeof readExamples>[1]) =>
    (await readExamples(file(text), columns)).map(({ texts, label }) => [...texts, label]);

  test("TSV has no quoting, with a header or without", async () => {
    const lines = 'gj04\t1\t\t"Quoted" start\r\ngj05\t0\t*\t"Open\n';
    expect(await read(lines, { text: [4], label: 2 })).toEqual([
      ['"Quoted" start', "1"],
      ['"Open', "0"],
    ]);
    const named = `id\tlabel\tmark\tsentence\n${lines}`;
    expect(await read(named, { text: ["sentence", "id"], label: "label" })).toEqual([
      ['"Quoted" start', "gj04", "1"],
      ['"Open', "gj05", "0"],
    ]);
    expect(await read(named, { text: [4], label: 2, header: true })).toHaveLength(2);
  });

  test("CSV has: commas, quotes and line breaks in a cell, empty cells", async () => {
    const lines = 'a,b,label\n"one, two","say ""hi""\nnow",x\nplain,,y\r\n,"",z';
    expect(await read(lines, { text: ["a", "b"], label: "label" })).toEqual([
      ["one, two", 'say "hi"\nnow', "x"],
      ["plain", "", "y"],
      ["", "", "z"],
    ]);
  });

  test("JSON Lines, numbers and truths as labels", async () => {
    const lines = '{"t": "a\\tb", "l": 1}\n\n{"l": true, "t": "c"}\n';
    expect(await read(lines, { text: ["t"], label: "l" })).toEqual([
      ["a\tb", "1"],
      ["c", "true"],
    ]);
  });
});

test("the longer text of a pair is cut first", () => {
  // As Python's tokenizers 0.23 cuts them; test/peers/finetune.test.ts holds all small lengths against it.
  for (const [a, b, most, wanted] of [
    [3, 4, 7, [3, 4]],
    [10, 4, 12, [8, 4]],
    [4, 10, 12, [4, 8]],
    [10, 9, 12, [6, 6]],
    [9, 10, 13, [6, 7]],
    [10, 9, 13, [7, 6]],
    [20, 0, 5, [5, 0]],
  ] as const) {
    expect(longestFirst(a, b, most)).toEqual(wanted);
  }
});

describe("a task", () => {
  let base: Omit<TaskInput, "out">;
  beforeAll(async () => {
    const from = await smallModel(root, "bert");
    const [train, validation] = [writeTable(join(root, "train.tsv"), 40, 1), writeTable(join(root, "dev.tsv"), 20, 2)];
    base = {
      ...{ model: { from }, task: "classification", epochs: 2, batch: 8, length: 12, seeds: 2 },
      data: { train, validation, text: ["a", "b"], label: "class", test: validation },
      engine: { kind: "onnx", threads: 1 },
      optimizer: { lr: 1e-3 },
    };
  });
  const out = () => join(root, `out-${count++}`);
  const bytesOf = (folder: string) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [
        join(entry.parentPath, entry.name).slice(folder.length),
        readFileSync(join(entry.parentPath, entry.name), "base64"),
      ])
      .sort();

  test("learns, says what it cut, and leaves its best seed's model", async () => {
    const said: string[] = [];
    const task = await loadTask({ ...base, out: out(), epochs: 12, batch: 4, data: { ...base.data, text: "a" } });
    const result = await finetune(task, { note: (text) => said.push(text) });
    expect(said.some((text) => /^\d+ of 40 training examples are longer than 12 tokens and were cut$/.test(text))).toBe(
      true,
    );
    expect(result.seeds.map(({ seed }) => seed)).toEqual([1, 2]);
    const scores = result.seeds.map(({ score }) => Number(score));
    expect(result.score).toBeCloseTo((scores[0] + scores[1]) / 2, 12);
    expect(result.spread).toBeCloseTo(Math.abs(scores[0] - scores[1]), 12);
    expect(Math.max(...scores)).toBeGreaterThan(0.6);
    const config = JSON.parse(readFileSync(join(result.model, "config.json"), "utf8"));
    expect(config).toMatchObject({ architectures: ["BertForSequenceClassification"], id2label: { 0: "no", 1: "yes" } });
  });

  test("says what it predicts, of labels that are missing too", async () => {
    const place = out();
    const { validation } = base.data;
    const lines = readFileSync(validation, "utf8").trimEnd().split("\n");
    const bare = file(lines.map((line) => `${line.split("\t").toSpliced(2, 1).join("\t")}\n`).join(""));
    const hidden = file(lines.map((line, i) => `${i === 0 ? line : line.replace(/(yes|no)/, "-1")}\n`).join(""));
    const itemsOf = (folder: string, name: string): Record<string, unknown>[] =>
      readFileSync(join(folder, name), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
    const { seeds } = await finetune(await loadTask({ ...base, out: place }));
    const items = itemsOf(place, "predictions.jsonl");
    const rows = lines.slice(1).map((line) => line.split("\t"));
    expect(items.map(({ item, id, gold }) => [item, id, gold])).toEqual(rows.map((row, i) => [i, null, row[2]]));
    const best = seeds.reduce((a, b) => (Number(b.score) > Number(a.score) ? b : a));
    expect(best.metrics.accuracy).toBe(
      items.filter(({ prediction, gold }) => prediction === gold).length / rows.length,
    );
    // The same file as the test part: the same predictions, from the weights that were kept.
    expect(seeds.map(({ test }) => test)).toEqual(seeds.map(({ metrics }) => metrics));
    expect(itemsOf(place, "test-predictions.jsonl")).toEqual(items);
    for (const test of [bare, hidden]) {
      const folder = out();
      const unknown = await finetune(
        await loadTask({ ...base, out: folder, data: { ...base.data, test, id: "value" } }),
      );
      expect(unknown.seeds.map(({ test }) => test)).toEqual([undefined, undefined]);
      const wanted = items.map((one, i) => ({ ...one, id: rows[i][3], gold: null }));
      expect(itemsOf(folder, "test-predictions.jsonl")).toEqual(wanted);
    }
    await expect(
      loadTask({ ...base, out: out(), data: { ...base.data, validation: bare } }).then((task) => finetune(task)),
    ).rejects.toThrow(/no column `class` \(found: a, b, value\)/);
  });

  test("an empty text is read as a padding token, whatever stands beside it", async () => {
    const from = await smallModel(root, "gpt2");
    const lines = ["\tyes", "the cat sat on a mat\tno", "\tno", "<|endoftext|>\tyes", "a dog\tyes"];
    const train = file(lines.map((line) => `${line}\n`).join(""));
    const [place, data] = [out(), { train, validation: train, text: 1, label: 2 }];
    await finetune(await loadTask({ ...base, out: place, model: { from }, data, batch: 3, epochs: 1, seeds: 1 }));
    const read = readFileSync(join(place, "predictions.jsonl"), "utf8").trimEnd().split("\n");
    const found: { probabilities: Record<string, number> }[] = read.map((line) => JSON.parse(line));
    for (const n of [0, 2]) expect(found[n].probabilities.yes).toBeCloseTo(found[3].probabilities.yes, 6);
    expect(Math.abs(found[1].probabilities.yes - found[3].probabilities.yes)).toBeGreaterThan(1e-4);
  });

  test("ends early where nothing gets better", async () => {
    let steps = 0;
    const task = await loadTask({ ...base, out: out(), seeds: 1, epochs: 9, patience: 1, optimizer: { lr: 1e-12 } });
    await finetune(task, { progress: () => steps++ });
    expect(steps).toBe(10);
  });

  test("stopped after every step it ends with the same bytes", async () => {
    const [whole, parts] = [out(), out()];
    await finetune(await loadTask({ ...base, out: whole }));
    let stops = 0;
    for (let done = false; !done; ) {
      let steps = 0;
      try {
        await finetune(await loadTask({ ...base, out: parts }), {
          stopped: () => (++steps > 2 ? "SIGTERM" : undefined),
        });
        done = true;
      } catch (error) {
        expect(error).toBeInstanceOf(Interrupted);
        stops++;
      }
    }
    expect(stops).toBeGreaterThan(4);
    expect(bytesOf(parts)).toEqual(bytesOf(whole));
  });

  test("killed again and again it ends with the same bytes", async () => {
    const [whole, parts] = [out(), out()];
    await finetune(await loadTask({ ...base, out: whole }));
    const path = file(JSON.stringify({ ...base, out: parts }));
    const main = join(packageRoot(), "dist", "cli", "main.js");
    let killed = 0;
    for (let wait = 0; ; wait++) {
      const child = spawn(process.execPath, [main, "finetune", path], { stdio: ["ignore", "ignore", "pipe"] });
      // Killed once it has said so much, later each time.
      let lines = 0;
      child.stderr.on("data", (chunk: Buffer) => {
        lines += chunk.toString().split("\n").length - 1;
        if (lines > 2 + wait) killed += Number(child.kill("SIGKILL"));
      });
      const code = await new Promise((resolve) => child.on("close", resolve));
      if (code === 0) break;
      expect(code).toBeNull();
      expect(wait).toBeLessThan(20);
    }
    expect(killed).toBeGreaterThan(0);
    expect(existsSync(join(parts, "model"))).toBe(true);
    expect(bytesOf(parts)).toEqual(bytesOf(whole));
  });
});
