/**
 * Fine-tuning by a TASK.yaml: each seed an epoch after the other, scored on the validation part after each; the best epoch
 * of the best seed is the model that stays.
 *
 * `out` holds task.yaml as resolved; for each seed `seed-N/`, with `last/` (weights, moments and where it stands) and
 * `best/` (the best epoch's model) while it goes on and result.json once it has ended; `model/` and result.json at the
 * end. All are written whole, so it can be stopped anywhere and started again with the same words.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { descentOf, writeModelCard } from "../../checkpoint/card.ts";
import { writeConfig } from "../../checkpoint/folder.ts";
import { templateOf } from "../../data/tokenizer/template.ts";
import { openTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { openEngine } from "../../engine/engines.ts";
import { openModel } from "../../model/load.ts";
import { parameterCount } from "../../model/table.ts";
import { type HeadedModel, withTaskHead } from "../../model/task-head.ts";
import { workingBytes } from "../../program/memory.ts";
import { checkFiles, hashFile, hashFiles } from "../../store/checksums.ts";
import { removeWhole, writeFileWhole, writeFolderWhole } from "../../store/files.ts";
import { takeLock } from "../../store/lock.ts";
import { copyInto, fillFile } from "../../store/output.ts";
import { removeMade } from "../../store/places.ts";
import { clearFolder } from "../../store/temporary.ts";
import { readCompanions } from "../../train/run/checkpoint.ts";
import { UserError } from "../../util/errors.ts";
import { isJsonObject, type Json, printable, readJsonObject } from "../../util/json.ts";
import { checkMemory } from "../../util/memory.ts";
import { encodeExamples } from "./examples.ts";
import { median } from "./metrics.ts";
import { predictingProgram, trainingProgram } from "./programs.ts";
import { type FinetuneOptions, type History, type SeedRun, trainSeed } from "./seed.ts";
import type { LoadedTask, TaskSettings } from "./settings.ts";
import { type Example, readExamples } from "./table.ts";

export interface FinetuneResult {
  readonly metric: string;
  /** The median over the seeds, each at its best epoch; null: not a number. */
  readonly score: number | null;
  /** Largest less smallest. */
  readonly spread: number | null;
  readonly seeds: readonly SeedResult[];
  /** The model folder. */
  readonly model: string;
}

export interface SeedResult extends Json {
  readonly seed: number;
  readonly score: number | null;
  /** From 1. */
  readonly epoch: number;
  /** Every metric of the task, at that epoch. */
  readonly metrics: Readonly<Record<string, number | null>>;
}

const [resultFile, settingsFile, lockFile] = ["result.json", "task.yaml", "finetune.lock"];

/** @throws UserError for what does not fit, before anything is written @throws Interrupted after saving */
export async function finetune(task: LoadedTask, options: FinetuneOptions = {}): Promise<FinetuneResult> {
  const { settings } = task;
  const { out } = settings;
  const train = await readExamples(settings.data.train, settings.data);
  const validation = await readExamples(settings.data.validation, settings.data);
  const opened = await openModel(settings.model.from);
  try {
    await checkFiles(settings.model.from, (name) => name.endsWith(".safetensors"));
    const labels = labelsOf(settings, train, validation);
    const tokenizer = await openTokenizer(settings.model.from);
    const { pad, eos } = tokenizer.info.special;
    const padding = opened.model.config.pad_token_id ?? pad ?? eos ?? null;
    const headed = (seed: number) =>
      withTaskHead(opened, "sequence", labels.names?.length ?? 1, seed, { ...labels.config, pad_token_id: padding });
    const first = headed(settings.seed);
    const most = Math.min(settings.length, first.model.dimensions.positions);
    const template = templateOf(tokenizer.description.json);
    const encode = (examples: readonly Example[]) =>
      encodeExamples(first.model, tokenizer, template, examples, examples.map(labels.of), most);
    const [trained, checked] = [await encode(train), await encode(validation)];
    for (const [name, { cut, encoded }] of Object.entries({ training: trained, validation: checked })) {
      if (cut > 0)
        options.note?.(`${cut} of ${encoded.length} ${name} examples are longer than ${most} tokens and were cut`);
    }
    checkRoom(first, settings, most);
    const sources = [settings.data.train, settings.data.validation].map(hashFile);
    const identity = [await hashFiles(opened.weights.files), ...(await Promise.all(sources))].join(" ");
    const text = await spelledOut(settings, identity);
    await checkPlace(task, text);
    const lock = await takeLock(join(out, lockFile), "the fine-tuning");
    let unsaved = false;
    try {
      await clearFolder(out);
      await writeFileWhole(join(out, settingsFile), text);
      const companions = await readCompanions(
        settings.model.from,
        settings.model.from,
        first.model.dimensions.positions,
      );
      const engine = await openEngine(settings.engine, options.note);
      const seeds: SeedResult[] = [];
      try {
        for (let i = 0; i < settings.seeds; i++) {
          const seed = settings.seed + i;
          const place = join(out, `seed-${seed}`);
          const path = join(place, resultFile);
          if (!existsSync(path)) {
            await clearFolder(place);
            const write = (name: string, fill: (temporary: string) => Promise<void>) =>
              writeFolderWhole(
                join(place, name),
                async (temporary) => {
                  await writeConfig(temporary, first.model.config);
                  for (const [file, bytes] of companions.files) await fillFile(join(temporary, file), bytes);
                  await fill(temporary);
                },
                { replace: true, checksums: true },
              );
            const run: SeedRun = {
              settings,
              seed,
              place,
              headed: headed(seed),
              engine,
              train: trained.encoded,
              validation: checked.encoded,
              write,
              options,
            };
            const history = await trainSeed(run);
            await writeFileWhole(path, `${JSON.stringify(resultOf(seed, history, settings))}\n`);
          }
          seeds.push(readResult(await readJsonObject(path), path));
        }
      } finally {
        await engine.close();
      }
      return await finish(settings, first, seeds);
    } catch (error) {
      unsaved = error instanceof UserError && !(await readdir(out)).some((name) => name.startsWith("seed-"));
      throw error;
    } finally {
      lock.release();
      // Corrected, it can be given again.
      if (unsaved) {
        await removeWhole(join(out, settingsFile));
        await removeMade(join(out, settingsFile));
      }
    }
  } finally {
    await opened.close();
  }
}

interface Labels {
  /** The classes' names; undefined: values. */
  readonly names: readonly string[] | undefined;
  /** What a config says of them. */
  readonly config: Json;
  of(example: Example): number;
}

/** Classes are those of the training part, as numbers in their order where all are numbers, else by code point. */
function labelsOf({ task }: TaskSettings, train: readonly Example[], validation: readonly Example[]): Labels {
  if (task === "regression") {
    const bad = [...train, ...validation].find(({ label }) => label.trim() === "" || !Number.isFinite(Number(label)));
    if (bad !== undefined) {
      throw new UserError(`\`${printable(bad.label)}\` is no number`, bad.where, "a regression's labels are numbers");
    }
    const config = { problem_type: "regression", id2label: { 0: "LABEL_0" }, label2id: { LABEL_0: 0 } };
    return { names: undefined, config, of: ({ label }) => Number(label) };
  }
  const found = [...new Set(train.map(({ label }) => label))];
  const numbers = found.every((label) => label.trim() !== "" && Number.isFinite(Number(label)));
  const names = found.sort((a, b) =>
    numbers ? Number(a) - Number(b) : Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  if (names.length > MOST_CLASSES) {
    const what = `${names.length} different labels`;
    throw new UserError(
      what,
      train[0].where,
      "name the column of the classes in `data.label`; values are a regression's",
    );
  }
  const numberOf = new Map(names.map((name, i) => [name, i]));
  const unknown = validation.find(({ label }) => !numberOf.has(label));
  if (unknown !== undefined) {
    const what = `the label \`${printable(unknown.label)}\` is in no training example`;
    throw new UserError(what, unknown.where, "mend the label, or give training examples of it");
  }
  const config = {
    problem_type: "single_label_classification",
    id2label: Object.fromEntries(names.map((name, i) => [i, name])),
    label2id: Object.fromEntries(numberOf),
  };
  return { names, config, of: ({ label }) => numberOf.get(label) ?? 0 };
}

const MOST_CLASSES = 1000;

/** @throws UserError if a step can't fit into memory */
function checkRoom(headed: HeadedModel, { batch, optimizer, task }: TaskSettings, length: number): void {
  const form = { batch, length, kind: task === "regression" ? "values" : "classes" } as const;
  const bytes = Math.max(
    workingBytes(trainingProgram(headed, form, optimizer)),
    workingBytes(predictingProgram(headed, form)),
  );
  const weights = 4 * 3 * parameterCount(headed.model.parameters);
  checkMemory(weights + bytes, "fine-tuning", "batch", "lower batch or length, or free memory");
}

/** All that the result depends on. */
async function spelledOut({ out: _, engine, ...settings }: TaskSettings, identity: string): Promise<string> {
  const { stringify } = await import("yaml");
  const { kind, precision } = engine;
  const head = "# This task as resolved, and what its model and data are known by.\n";
  const { model, data, ...rest } = settings;
  const columns = { text: data.text, label: data.label, ...(data.header === undefined ? {} : { header: data.header }) };
  return head + stringify({ ...rest, data: columns, engine: { kind, precision }, identity }, { lineWidth: 120 });
}

/** @throws UserError if `out` holds something else */
async function checkPlace({ settings: { out }, file }: LoadedTask, text: string): Promise<void> {
  if (!existsSync(out)) return;
  const path = join(out, settingsFile);
  if (existsSync(path)) {
    if ((await readFile(path, "utf8")) === text) return;
    const what = `${out}: holds another task, or its model or data have changed`;
    throw file.error(["out"], what, "name another folder in `out`, undo the change, or remove the folder");
  }
  const foreign = (await readdir(out)).find((name) => name !== lockFile && !name.startsWith("."));
  if (foreign === undefined) return;
  throw new UserError(
    `the folder is not empty and holds no task (there is ${foreign})`,
    out,
    "name another folder in `out`",
  );
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

function resultOf(seed: number, { best, scores }: History, { metric }: TaskSettings): SeedResult {
  const own = scores[best];
  const named = Object.entries(own).map(([name, value]) => [name, finite(value)] as const);
  return { seed, score: finite(own[metric]), epoch: best + 1, metrics: Object.fromEntries(named) };
}

function readResult(json: Json, path: string): SeedResult {
  const { seed, score, epoch, metrics: all } = json;
  const isScore = (value: unknown): value is number | null => value === null || typeof value === "number";
  if (typeof seed !== "number" || typeof epoch !== "number" || !isScore(score) || !isJsonObject(all)) {
    throw new UserError("damaged", path, "remove it: the seed is then done anew");
  }
  const named = Object.entries(all).map(([name, value]) => [name, isScore(value) ? value : null] as const);
  return { seed, score, epoch, metrics: Object.fromEntries(named) };
}

/** The best seed's model goes to `model/`; the others' go. */
async function finish(
  settings: TaskSettings,
  { model }: HeadedModel,
  seeds: readonly SeedResult[],
): Promise<FinetuneResult> {
  const { out, metric, task } = settings;
  const folder = join(out, "model");
  const scores = seeds.map(({ score }) => score ?? Number.NaN);
  const best = seeds.reduce((a, b) => ((b.score ?? -Infinity) > (a.score ?? -Infinity) ? b : a));
  if (!existsSync(folder)) {
    const from = join(out, `seed-${best.seed}`, "best");
    await writeFolderWhole(
      folder,
      async (temporary) => {
        for (const file of await readdir(from))
          if (file !== "SHA256SUMS") await copyInto(join(from, file), join(temporary, file));
        await writeModelCard(temporary, {
          title: `A ${model.architecture.type} fine-tuned for ${task}`,
          tags: [model.architecture.type],
          pipeline: "text-classification",
          descent: await descentOf(settings.model.from),
          text: ["Fine-tuned with bert2bert."],
          facts: [[`validation ${metric}`, String(best.score)]],
        });
      },
      { checksums: true },
    );
  }
  for (const { seed } of seeds) {
    for (const name of ["last", "best"]) await removeWhole(join(out, `seed-${seed}`, name));
  }
  const result: FinetuneResult = {
    metric,
    score: finite(median(scores)),
    spread: finite(Math.max(...scores) - Math.min(...scores)),
    seeds,
    model: folder,
  };
  await writeFileWhole(join(out, resultFile), `${JSON.stringify({ ...result, model: "model" }, null, 2)}\n`);
  return result;
}
