/** What a run starts from: a head that is drawn, a vocabulary that the config leaves to the tokenizer, and what is said. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../../src/checkpoint/folder.ts";
import { openDataset } from "../../../src/data/prepared/dataset.ts";
import { createModel } from "../../../src/model/create.ts";
import { initialise } from "../../../src/model/init.ts";
import { openModel } from "../../../src/model/load.ts";
import { pretrain } from "../../../src/train/pretrain.ts";
import { loadRun } from "../../../src/train/run/settings.ts";
import { openStart } from "../../../src/train/run/setup.ts";
import { Interrupted } from "../../../src/util/errors.ts";
import { temporaryFolder } from "../../support.ts";
import { bertConfig, gpt2Config, writeRun } from "../data.ts";

const yaml = (model: string, objective = "mlm") => `
out: out
seed: 11
model: ${model}
data: {from: data}
objective: ${objective}
batch: {sequences: 4}
optimizer: {lr: 5e-3}
steps: 6
evaluate: {every: 3, sequences: 16}
checkpoint: {every: 2}
engine: {kind: onnx, threads: 1}
`;

const kinds = [
  { name: "BertModel", config: { ...bertConfig, architectures: ["BertModel"] }, objective: "mlm", drawn: 5 },
  { name: "GPT2Model", config: { ...gpt2Config, architectures: ["GPT2Model"] }, objective: "clm", drawn: 0 },
];

describe.each(kinds)("a run from a $name with add-head", ({ config, objective, drawn }) => {
  const folder = temporaryFolder();
  const out = join(folder, "out");
  const made = writeRun(folder, config, yaml("{from: source, add-head: true}", objective)).then(async (path) => {
    await createModel(config, "config.json", join(folder, "source"), { seed: 2 });
    return path;
  });

  it("draws the head by the run's seed and takes all else from the folder", async () => {
    const run = await loadRun(await made);
    const dataset = await openDataset(run.settings.data.from);
    const start = await openStart(run, dataset, () => {});
    const source = await openModel(join(folder, "source"));
    let added = 0;
    for (const parameter of start.model.parameters) {
      const own = source.model.parameters.find(
        ({ kind, layer }) => kind === parameter.kind && layer === parameter.layer,
      );
      if (own === undefined) added++;
      expect(await start.parameters.readF32(parameter.name)).toEqual(
        own === undefined ? initialise(parameter, 11) : await source.weights.readF32(own.name),
      );
    }
    expect(added).toBe(drawn);
    expect(start.notes.join("\n")).toMatch(/The language-model head is new/);
    await source.close();
    await start.close();
    dataset.close();
  });

  it("comes to the same bytes whether it was interrupted or not", async () => {
    const run = await loadRun(await made);
    const results: Buffer[] = [];
    for (const stopAt of [7, 1, 4]) {
      rmSync(out, { recursive: true, force: true });
      let done = 0;
      const once = pretrain(run, {
        progress: ({ step }) => {
          done = step;
        },
        stopped: () => (done >= stopAt ? "SIGTERM" : undefined),
      });
      if (stopAt < 6) {
        await expect(once).rejects.toThrow(Interrupted);
        await pretrain(run);
      } else await once;
      results.push(readFileSync(join(out, "model", "model.safetensors")));
    }
    expect(results.map((bytes) => bytes.equals(results[0]))).toEqual([true, true, true]);
    expect(readFileSync(join(out, "run.yaml"), "utf8")).toMatch(/add-head: true/);
  });
});

it("a run from a folder without the head says what to do before anything is written", async () => {
  const folder = temporaryFolder();
  const [{ config }] = kinds;
  const path = await writeRun(folder, config, yaml("{from: source}"));
  await createModel(config, "config.json", join(folder, "source"), { seed: 2 });
  await expect(pretrain(await loadRun(path))).rejects.toThrow(
    /no head for objective mlm\nhint: draw one .*add-head: true/,
  );
});

describe("a config that `init` names", () => {
  const folder = temporaryFolder();
  const { vocab_size, ...less } = bertConfig;
  const notesOf = async (config: object) => {
    const run = await loadRun(await writeRun(folder, config, yaml("{init: config.json}")));
    const said: string[] = [];
    rmSync(join(folder, "out"), { recursive: true, force: true });
    await pretrain(run, { note: (text) => said.push(text) });
    return said.filter((text) => text.includes("vocab_size"));
  };

  it("takes the tokenizer's vocabulary where it has no `vocab_size`", async () => {
    expect(await notesOf(less)).toEqual([]);
    expect(await readConfig(join(folder, "out", "model"))).toMatchObject({ vocab_size });
    const { model, close } = await openModel(join(folder, "out", "model"));
    expect(model.dimensions.vocab).toBe(vocab_size);
    await close();
  });

  it("is told where its vocabulary is larger, and obeyed", async () => {
    expect(await notesOf({ ...less, vocab_size: vocab_size + 8 })).toEqual([
      expect.stringMatching(new RegExp(`is ${vocab_size + 8}, the data's tokenizer has ${vocab_size} tokens`)),
    ]);
    expect(await readConfig(join(folder, "out", "model"))).toMatchObject({ vocab_size: vocab_size + 8 });
    expect(await notesOf(bertConfig)).toEqual([]);
  });

  it("goes on where it left, without `vocab_size`", async () => {
    const run = await loadRun(await writeRun(folder, less, yaml("{init: config.json}")));
    rmSync(join(folder, "out"), { recursive: true, force: true });
    let done = 0;
    const stopped = () => (done >= 3 ? ("SIGTERM" as const) : undefined);
    const progress = ({ step }: { step: number }) => {
      done = step;
    };
    await expect(pretrain(run, { stopped, progress })).rejects.toThrow(Interrupted);
    const said: string[] = [];
    expect((await pretrain(run, { note: (text) => said.push(text) })).model).toBe(join(folder, "out", "model"));
    expect(said.join("\n")).toMatch(/carrying on after step 3 of 6/);
  });
});
