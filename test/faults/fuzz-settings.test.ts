/** config.json, RUN.yaml and prepared data, damaged in every way: read as what they say, or refused. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { dataSize, trainingBatch, validationBatches } from "../../src/data/batch/batches.ts";
import { openDataset } from "../../src/data/prepared/dataset.ts";
import { applyGrowth } from "../../src/growth/apply.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { repeatedPlan } from "../../src/growth/repeat.ts";
import { architectureOf } from "../../src/model/architectures.ts";
import { openModel } from "../../src/model/load.ts";
import { type Objective, objectives } from "../../src/model/objectives.ts";
import { loadRun, spelledOut } from "../../src/train/run/settings.ts";
import { UserError } from "../../src/util/errors.ts";
import { decodeUtf8, parseJsonObject } from "../../src/util/json.ts";
import { fixture } from "../support.ts";
import { writeData, writeTopics } from "../train/data.ts";
import { fuzz, mutate, quickFolder } from "./fuzz.ts";
import { howMany } from "./scale.ts";

describe("config.json", () => {
  const kinds = ["bert-tiny", "roberta-tiny", "gpt2-tiny"].map(
    (kind) => new Uint8Array(readFileSync(fixture(kind, "config.json"))),
  );

  /** What the model is by the config's own words, each kind in its own. */
  const sizes: Readonly<Record<string, readonly [hidden: string, layers: string, vocabulary: string]>> = {
    bert: ["hidden_size", "num_hidden_layers", "vocab_size"],
    roberta: ["hidden_size", "num_hidden_layers", "vocab_size"],
    gpt2: ["n_embd", "n_layer", "vocab_size"],
  };

  it("of random damage is what it says, or refused", async () => {
    const tally = await fuzz(howMany(4_000, 20_000), 2_000_000, 4096, (dice) => {
      const bytes = mutate(dice.of(kinds), dice, dice.of(kinds));
      const config = parseJsonObject(decodeUtf8(bytes, "config.json"), "config.json");
      const { dimensions: d, architecture } = architectureOf(config, "config.json").model(config, "config.json");
      const said = sizes[architecture.type].map((key) => config[key]);
      [d.hidden, d.layers, d.vocab].forEach((size, i) => {
        // A model may have no layers; all else there is some of.
        expect(Number.isSafeInteger(size) && size >= (i === 1 ? 0 : 1)).toBe(true);
        if (said[i] !== undefined) expect(size).toBe(said[i]);
      });
      expect(d.heads * d.headWidth).toBe(d.hidden);
    });
    console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
    expect(tally.read).toBeGreaterThan(100);
    expect(tally.reasons.size).toBeGreaterThan(15);
  });
});

const yaml = `out: runs/one
seed: 3
model: {from: grown}
data: {from: data}
objective: mlm
batch: {sequences: 8, accumulate: 2, masked: 0.2}
optimizer:
  lr: 1e-3 # high
  betas: [0.9, 0.99]
  dropout: config
schedule: {warmup: 0.1, decay: cosine}
steps: 4k
plan:
  - {name: first, share: 0.5, models: [{layers: 1, train: 1}, {layers: 2, train: 1}]}
  - {grow: {layers: 4, method: fpi}, optimizer: reset}
evaluate: {every: 10}
checkpoint: &c {every: 10, keep: 2}
`;
const other = `plan: {two-stage: {block: 3, share: 0.1}}\ntokens: 4M\nepochs: 2.5\nx: *c\n? [a, b]\n: c\n--- !!js/function "x"\n<<: {a: 1}\n`;

describe("RUN.yaml", () => {
  const encode = (text: string) => new TextEncoder().encode(text);

  it("of random damage is taken as a run that spells itself out the same, or refused", async () => {
    const folder = quickFolder();
    const path = join(folder, "run.yaml");
    const again = join(folder, "again.yaml");
    const tally = await fuzz(howMany(1_000, 20_000), 3_000_000, 4096, async (dice) => {
      writeFileSync(path, mutate(encode(yaml), dice, encode(other), 2));
      const { settings } = await loadRun(path);
      const spelled = spelledOut(settings);
      const { out, model, data } = settings;
      writeFileSync(again, stringify({ ...spelled, out, model, data }));
      expect(spelledOut((await loadRun(again)).settings)).toEqual(spelled);
    });
    console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
    expect(tally.read).toBeGreaterThan(20);
    expect(tally.reasons.size).toBeGreaterThan(15);
  });
});

describe("growth.json", () => {
  it("of random damage gives a growth of this source, or is refused", async () => {
    const folder = quickFolder();
    const source = await openModel(fixture("bert-tiny"));
    const plan = planGrowth(source.model, resizedModel(source.model, { hidden: 96, layers: 4 }), { method: "fpi" });
    await applyGrowth(plan, source, join(folder, "grown"));
    const record = new Uint8Array(readFileSync(join(folder, "grown", "growth.json")));
    const path = join(folder, "growth.json");
    const tally = await fuzz(howMany(300, 5_000), 6_000_000, 2 ** 16, async (dice) => {
      writeFileSync(path, mutate(record, dice, record, 2));
      const again = await repeatedPlan(source, path);
      expect(again.plan.growth.source).toBe(source.model);
    });
    await source.close();
    console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
    expect(tally.read).toBeGreaterThan(5);
  });
});

describe("prepared data", () => {
  it("of random damage gives tokens of its vocabulary, or is refused", async () => {
    const folder = join(quickFolder(), "data");
    await writeTopics(folder);
    const parts = ["train", "validation"].flatMap((part) =>
      ["tokens", "documents", "lines"].map((kind) => `${part}.${kind}`),
    );
    const names = ["data.json", "data.json", ...parts];
    const whole = new Map(names.map((name) => [name, new Uint8Array(readFileSync(join(folder, name)))]));
    const bytesOf = (name: string) => whole.get(name) ?? new Uint8Array();
    const batch = { sequences: 2, accumulate: 1, masked: 0.15 };
    const take = async (objective: Objective, step: number) => {
      const dataset = await openDataset(folder);
      try {
        const { vocabulary } = dataset.info.tokenizer;
        dataSize(dataset, objective, batch);
        const made = [trainingBatch(dataset, { objective, seed: 1, step, micro: 0, batch })];
        if (dataset.validation.sequences(dataset.info.length) > 0) {
          for (const one of validationBatches(dataset, { objective, batch, limit: 2 })) made.push(one);
        }
        for (const { ids } of made)
          for (const id of ids) if (!(id >= 0 && id < vocabulary)) throw new Error(`id ${id}`);
      } finally {
        dataset.close();
      }
    };
    for (const objective of objectives) await take(objective, 0);
    const tally = await fuzz(howMany(3_000, 20_000), 4_000_000, 65536, async (dice) => {
      const victim = dice.of(names);
      const own = bytesOf(victim);
      const change = () => {
        // A file of another length is refused at once: most damage leaves it as long as it was.
        const copy = own.slice();
        for (let left = 1 + dice.below(3); left > 0; left--) copy[dice.below(copy.length)] = dice.below(256);
        return copy;
      };
      writeFileSync(
        join(folder, victim),
        victim === "data.json" || dice.below(4) === 0 ? mutate(own, dice, bytesOf(dice.of(names))) : change(),
      );
      try {
        await take(dice.of(objectives), dice.below(50));
      } finally {
        writeFileSync(join(folder, victim), own);
      }
    });
    console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
    expect(tally.read).toBeGreaterThan(200);
    expect(tally.reasons.size).toBeGreaterThan(8);
  });

  it("of every length below its own is refused", async () => {
    const folder = join(quickFolder(), "data");
    mkdirSync(folder, { recursive: true });
    await writeData(folder, 16, 100);
    for (const name of ["data.json", "train.tokens"]) {
      const own = new Uint8Array(readFileSync(join(folder, name)));
      for (let length = 0; length < own.length; length++) {
        writeFileSync(join(folder, name), own.subarray(0, length));
        await expect(openDataset(folder), `${name} ${length}`).rejects.toThrow(UserError);
      }
      writeFileSync(join(folder, name), own);
    }
    (await openDataset(folder)).close();
  });
});
