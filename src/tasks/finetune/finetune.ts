/**
 * Fine-tuning by a TASK.yaml: each seed an epoch after the other, scored on the validation part after each; the best epoch
 * of the best seed is the model that stays.
 *
 * `out` holds task.yaml as resolved; for each seed `seed-N/`, with `last/` (weights, moments and where it stands) and
 * `best/` (the best epoch's model, its predictions beside it) while it goes on and result.json once it has ended; `model/`,
 * predictions and result.json at the end. All are written whole, so it can be stopped anywhere and started again with the same words.
 */
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { templateOf } from "../../data/tokenizer/template.ts";
import { openTokenizer } from "../../data/tokenizer/tokenizer.ts";
import { openEngine } from "../../engine/engines.ts";
import { type OpenModel, openModel } from "../../model/load.ts";
import { parameterCount } from "../../model/table.ts";
import { type HeadedModel, withTaskHead } from "../../model/task-head.ts";
import { workingBytes } from "../../program/memory.ts";
import { checkFiles, hashFile, hashFiles } from "../../store/checksums.ts";
import { removeWhole, writeFileWhole } from "../../store/files.ts";
import { takeLock } from "../../store/lock.ts";
import { named } from "../../store/output.ts";
import { removeMade } from "../../store/places.ts";
import { clearFolder } from "../../store/temporary.ts";
import { readCompanions } from "../../train/run/checkpoint.ts";
import { closing } from "../../util/closing.ts";
import { UserError } from "../../util/errors.ts";
import { readJsonObject } from "../../util/json.ts";
import { checkMemory } from "../../util/memory.ts";
import { Programs } from "../forward.ts";
import type { TaskData } from "./kind.ts";
import { median } from "./metrics.ts";
import { formOf, predictingProgram, trainingProgram } from "./programs.ts";
import { type FinetuneOptions, predictionFiles, type SeedResult, seedSchema, trainSeed } from "./seed.ts";
import { dataFiles, type LoadedTask, type TaskSettings } from "./settings.ts";

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

const [resultFile, settingsFile, lockFile] = ["result.json", "task.yaml", "finetune.lock"];

/** @throws UserError for what does not fit, before anything is written @throws Interrupted after saving */
export async function finetune(task: LoadedTask, options: FinetuneOptions = {}): Promise<FinetuneResult> {
  const { settings } = task;
  const { out, model, kind } = settings;
  return closing(async (keep) => {
    const opened = keep(await openModel(model.from));
    await checkFiles(model.from, (name) => name.endsWith(".safetensors"));
    const tokenizer = await openTokenizer(model.from);
    const most = Math.min(settings.length, opened.model.dimensions.positions);
    const template = templateOf(tokenizer.description.json);
    const encoding = { model: opened.model, tokenizer, template, most, note: options.note };
    const data = await kind.load(settings, encoding);
    const { pad, eos } = tokenizer.info.special;
    const padding = opened.model.config.pad_token_id ?? pad ?? eos ?? null;
    const headed = (seed: number) =>
      withTaskHead(opened, kind.head, data.labels, seed, { ...data.config, pad_token_id: padding });
    checkRoom(headed(settings.seed), settings, most);
    const text = await spelledOut(settings, opened);
    await checkPlace(task, text);
    const lock = await takeLock(join(out, lockFile), "the fine-tuning");
    const begin = () => writeFileWhole(join(out, settingsFile), text);
    try {
      await clearFolder(out);
      return await finish(settings, await seedsOf(settings, data, headed, begin, options));
    } finally {
      lock.release();
      await removeMade(join(out, settingsFile));
    }
  });
}

/** Each seed's result, those that are still to be trained trained. */
async function seedsOf(
  settings: TaskSettings,
  data: TaskData,
  headed: (seed: number) => HeadedModel,
  begin: () => Promise<void>,
  options: FinetuneOptions,
): Promise<readonly SeedResult[]> {
  const { out, model } = settings;
  const seeds: SeedResult[] = [];
  const { positions } = headed(settings.seed).model.dimensions;
  const companions = { ...(await readCompanions(model.from, model.from, positions)), growth: undefined };
  return closing(async (keep) => {
    const engine = keep(await openEngine(settings.engine, options.note));
    const programs = new Programs(engine);
    for (let { seed } = settings; seed < settings.seed + settings.seeds; seed++) {
      const place = join(out, `seed-${seed}`);
      const path = join(place, resultFile);
      if (!existsSync(path)) {
        await clearFolder(place);
        const run = { settings, seed, place, headed: headed(seed), engine, programs, data, companions, begin };
        await writeFileWhole(path, `${JSON.stringify(await trainSeed(run, options))}\n`);
      }
      const read = seedSchema.safeParse(await readJsonObject(path));
      if (!read.success) throw new UserError("damaged", path, "remove it: the seed is then done anew");
      seeds.push(read.data);
    }
    return seeds;
  });
}

/** @throws UserError if a step can't fit into memory */
function checkRoom(headed: HeadedModel, { batch, optimizer, kind }: TaskSettings, length: number): void {
  const form = formOf(headed, batch, length, kind.loss);
  const programs = [trainingProgram(headed, form, optimizer), predictingProgram(headed, form)];
  const bytes = Math.max(...programs.map(workingBytes));
  const weights = 4 * 3 * parameterCount(headed.model.parameters);
  checkMemory(weights + bytes, "fine-tuning", "batch", "lower batch or length, or free memory");
}

/** All that the result depends on. */
async function spelledOut(
  { out: _, kind: _kind, engine, ...settings }: TaskSettings,
  { weights }: OpenModel,
): Promise<string> {
  const { stringify } = await import("yaml");
  const { kind, precision } = engine;
  const head = "# This task as resolved, and what its model and data are known by.\n";
  const { model, data, ...rest } = settings;
  const { train: _train, validation: _validation, test: _test, ...columns } = data;
  const parts = dataFiles(data).map((path) => hashFile(path));
  const identity = [await hashFiles(weights.files), ...(await Promise.all(parts))].join(" ");
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

/** The best seed's model goes to `model/`; the others' go. */
async function finish({ out, metric }: TaskSettings, seeds: readonly SeedResult[]): Promise<FinetuneResult> {
  const folder = join(out, "model");
  const scores = seeds.map(({ score }) => score ?? Number.NaN);
  const best = seeds.reduce((a, b) => ((b.score ?? -Infinity) > (a.score ?? -Infinity) ? b : a));
  for (const [name, place] of [["best", folder], ...predictionFiles.map((name) => [name, join(out, name)])]) {
    const made = join(out, `seed-${best.seed}`, name);
    if (existsSync(made) && !existsSync(place)) await named(made, place);
  }
  for (const { seed } of seeds) {
    for (const name of ["last", "best", ...predictionFiles]) await removeWhole(join(out, `seed-${seed}`, name));
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

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
