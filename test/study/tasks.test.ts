/** Tasks in a study: done on each run's model, kept in its record, shown beside what was saved; stopped anywhere it goes on. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { generateStories } from "../../src/quickstart/stories.ts";
import { outputOf } from "../../src/study/build.ts";
import { writeResults } from "../../src/study/results.ts";
import { runStudy } from "../../src/study/run.ts";
import { loadStudy } from "../../src/study/settings.ts";
import { evaluateTasks } from "../../src/tasks/evaluate.ts";
import { Interrupted } from "../../src/util/errors.ts";
import { temporaryFolder } from "../support.ts";
import { writeTable } from "../tasks/models.ts";
import { records } from "./support.ts";

const config = { model_type: "gpt2", n_positions: 32, n_embd: 16, n_layer: 2, n_head: 2 };
const tasks = {
  order: { task: "minimal-pairs", path: "pairs.jsonl" },
  cats: { task: "classification", data: { train: "train.tsv", validation: "dev.tsv", text: "a", label: "class" } },
  text: { task: "perplexity", path: "text" },
};
const study = (more: object = {}) => ({
  ...{
    title: "Tasks",
    out: "out",
    data: { files: ["stories"], tokenizer: { kind: "bpe", vocabulary: 400 }, length: 32 },
  },
  ...{ source: { config }, target: { hidden: 24 }, budget: { steps: 8 }, objective: "clm", batch: { sequences: 4 } },
  ...{ optimizer: { lr: 1e-2, dropout: 0 }, evaluate: { every: 4, sequences: 8 }, checkpoint: { every: 4 } },
  ...{ engine: { kind: "onnx", threads: 1 }, methods: { scratch: { seeds: [1, 2] }, aki: {} } },
  tasks: { ...tasks, cats: { ...tasks.cats, epochs: 1, length: 16, optimizer: { lr: 1e-3 } } },
  ...more,
});

function write(name: string, content: object): Promise<string> {
  const folder = join(temporaryFolder(), name);
  return import("node:fs").then(({ mkdirSync }) => {
    mkdirSync(folder);
    writeFileSync(join(folder, "stories"), generateStories({ seed: 1, stories: 60 }));
    writeFileSync(join(folder, "text"), generateStories({ seed: 2, stories: 2 }));
    const pairs = ["the cat sat", "a dog ran", "her old friend went home"].map((good) => {
      return { good, bad: good.split(" ").reverse().join(" ") };
    });
    writeFileSync(join(folder, "pairs.jsonl"), pairs.map((pair) => `${JSON.stringify(pair)}\n`).join(""));
    writeTable(join(folder, "train.tsv"), 24, 1);
    writeTable(join(folder, "dev.tsv"), 12, 2);
    writeFileSync(join(folder, "study.yaml"), JSON.stringify(content));
    return join(folder, "study.yaml");
  });
}

describe("a study's tasks", () => {
  let path: string;
  beforeAll(async () => {
    path = await write("whole", study());
  });

  it("are scored on every run's model and shown beside what was saved", async () => {
    const state = await runStudy(await loadStudy(path));
    expect(state.trials.map(({ record }) => Object.keys(record?.tasks ?? {}))).toEqual([
      ...[Object.keys(tasks), Object.keys(tasks), Object.keys(tasks)],
    ]);
    const [{ cell, record }] = state.trials;
    const folder = join(outputOf(state.study, cell), "model");
    const at = (name: string) => join(path, "..", name);
    const asked = [`minimal-pairs=${at("pairs.jsonl")}`, `perplexity=${at("text")}`];
    const figures = await evaluateTasks(folder, asked, { engine: "onnx", threads: 1 });
    expect(record?.tasks?.order.score).toBe(figures["minimal-pairs"].accuracy);
    expect(record?.tasks?.text.score).toBe(figures.perplexity.token);
    const { data, files } = await writeResults(state);
    const [scratch, aki] = data.methods;
    const scores = state.trials.map((trial) => Number(trial.record?.tasks?.cats.score));
    const mean = (some: readonly number[]) => some.reduce((sum, one) => sum + one, 0) / some.length;
    const own = state.trials.map(({ method }) => method.name);
    const of = (name: string) => scores.filter((_, i) => own[i] === name);
    expect(scratch.tasks?.cats).toEqual({
      metric: "accuracy",
      score: {
        mean: mean(of("scratch")),
        low: Math.min(...of("scratch")),
        high: Math.max(...of("scratch")),
        count: 2,
        missing: 0,
      },
    });
    expect(aki.tasks?.cats.score.mean).toBe(of("aki")[0]);
    expect(JSON.parse(readFileSync(files[0], "utf8")).methods[0].tasks.order.metric).toBe("accuracy");
    for (const file of files.slice(1)) {
      const text = readFileSync(file, "utf8");
      expect(text).toContain("What was saved, and what was kept");
      for (const column of ["order (accuracy)", "cats (accuracy)", "text (token)"]) expect(text).toContain(column);
    }
    // What the fine-tuning left goes once it is recorded.
    expect(existsSync(join(outputOf(state.study, cell), "..", "tasks", "cats"))).toBe(false);
  });

  it("are not done twice, and done anew where they are another's", async () => {
    const notes: string[] = [];
    await runStudy(await loadStudy(path), { note: (text) => notes.push(text) });
    expect(notes).toEqual([]);
    const before = records(join(path, "..", "out", "records"));
    writeFileSync(
      path,
      JSON.stringify(study({ tasks: { ...study().tasks, text: { task: "perplexity", path: "stories" } } })),
    );
    await runStudy(await loadStudy(path), { note: (text) => notes.push(text) });
    expect(notes).toHaveLength(3);
    for (const note of notes) expect(note).toMatch(/, text: token \d/);
    writeFileSync(path, JSON.stringify(study()));
    await runStudy(await loadStudy(path));
    expect(records(join(path, "..", "out", "records"))).toEqual(before);
    // The same keys, and a file that holds something else.
    const [table, pairs] = [join(path, "..", "train.tsv"), join(path, "..", "pairs.jsonl")];
    const contents = [table, pairs].map((file) => readFileSync(file, "utf8"));
    writeTable(table, 24, 3);
    writeFileSync(pairs, contents[1].repeat(2));
    notes.length = 0;
    await runStudy(await loadStudy(path), { note: (text) => notes.push(text) });
    expect(notes.filter((note) => /, cats: accuracy \d/.test(note))).toHaveLength(3);
    expect(notes.filter((note) => /, order: accuracy \d/.test(note))).toHaveLength(3);
    expect(notes.some((note) => note.includes("text: token"))).toBe(false);
    for (const [i, file] of [table, pairs].entries()) writeFileSync(file, contents[i]);
    await runStudy(await loadStudy(path));
    expect(records(join(path, "..", "out", "records"))).toEqual(before);
  });

  it("stopped anywhere it ends with the same scores", async () => {
    const other = await write("parts", study());
    let stops = 0;
    for (let done = false; !done; ) {
      let asked = 0;
      try {
        await runStudy(await loadStudy(other), { stopped: () => (++asked > 24 ? "SIGTERM" : undefined) });
        done = true;
      } catch (error) {
        expect(error).toBeInstanceOf(Interrupted);
        stops++;
      }
    }
    expect(stops).toBeGreaterThan(1);
    const of = (file: string) => records(join(file, "..", "out", "records"));
    expect(of(other)).toEqual(of(path));
  });

  it("are done where a method is already as good as the reference, too: at the FLOPs saved", async () => {
    const other = await write(
      "saved",
      study({
        tasks: { order: tasks.order },
        schedule: { warmup: 0, decay: "constant" },
        branches: { at: [0.4, 0.6] },
        // The reference hardly learns: the cheapest branch of the other is below it.
        methods: { scratch: { lr: 1e-6 }, quick: { as: "scratch", lr: 1e-2, seeds: [1, 2] } },
      }),
    );
    const state = await runStudy(await loadStudy(other));
    const done = state.trials.filter(({ record }) => record?.tasks?.order !== undefined);
    expect(done.map(({ method, seed, share }) => `${method.name} ${seed} ${share}`).sort()).toEqual([
      ...["quick 1 0.4", "quick 1 1", "quick 2 0.4", "quick 2 1", "scratch 1 1"],
    ]);
    const { data, files } = await writeResults(state);
    const [scratch, quick] = data.methods;
    expect(scratch.saved).toBeUndefined();
    expect(quick.saved?.share.mean).toBe(0.4);
    const scores = done.filter(({ share }) => share < 1).map(({ record }) => record?.tasks?.order.score ?? Number.NaN);
    expect(quick.saved?.tasks?.order.score).toMatchObject({
      low: Math.min(...scores),
      high: Math.max(...scores),
      count: 2,
    });
    for (const file of files.slice(1)) expect(readFileSync(file, "utf8")).toContain("quick, at 40.0 % of the budget");
  });

  it("that are none are said before anything runs", async () => {
    const load = async (tasks: object) =>
      loadStudy(await write(`bad-${JSON.stringify(tasks).length}`, study({ tasks })));
    await expect(load({ a: { task: "blimp" } })).rejects.toThrow(/study.yaml:1: blimp needs a path/);
    await expect(load({ a: { task: "classification" } })).rejects.toThrow(/study.yaml:1: `data` is missing/);
    await expect(load({ a: { task: "classing" } })).rejects.toThrow(/study.yaml:1: `task` can.t be "classing"/);
  });
});
