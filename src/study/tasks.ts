/**
 * Tasks on the models that a study's runs end with: fine-tuned on (the keys of a TASK.yaml less `model` and `out`), or done
 * without training (`task` and `path`). A score stands in its run's record with the key of what was asked: it is not made
 * twice, and made anew where that has changed.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { removeWhole } from "../store/files.ts";
import { evaluateTasks, isTask } from "../tasks/evaluate.ts";
import { finetune } from "../tasks/finetune/finetune.ts";
import { loadTask } from "../tasks/finetune/settings.ts";
import { modelFolder } from "../train/run/folder.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import { type BuildOptions, cellFolder, outputOf } from "./build.ts";
import type { RunCell } from "./cells.ts";
import { asJson, keyOf } from "./identity.ts";
import type { RunRecord, TaskScore } from "./record.ts";
import type { StudyFile } from "./schema.ts";
import type { Study } from "./settings.ts";

/** A task as STUDY.yaml has it; paths in it are relative to `folder`. */
export interface StudyTask {
  readonly name: string;
  readonly key: string;
  /** What it is judged by. */
  readonly metric: string;
  readonly keys: Json & { readonly task: string };
  readonly folder: string;
}

/** @throws UserError for keys that are no task's */
export async function studyTasks(read: StudyFile, folder: string): Promise<readonly StudyTask[]> {
  const tasks: StudyTask[] = [];
  for (const [name, given] of Object.entries(read.tasks)) {
    const keys: StudyTask["keys"] = { ...asJson(given), task: given.task };
    const where = `tasks.${name}`;
    if (isTask(keys.task) && typeof keys.path !== "string") {
      throw new UserError(`${keys.task} needs a path`, where, "give `path: FILE`");
    }
    const metric = isTask(keys.task) ? headline(keys.task) : await metricOf(folder, keys, read.engine, where);
    tasks.push({ name, key: keyOf(keys), metric, keys, folder });
  }
  return tasks;
}

/** What a task without training is judged by: a perplexity where nothing is right or wrong. */
function headline(task: string): string {
  return task === "perplexity" ? "token" : "accuracy";
}

async function metricOf(folder: string, keys: Json, engine: object, where: string): Promise<string> {
  try {
    return (await loadFor(folder, keys, engine, folder, where)).settings.metric;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.what, where, error.wayOut, { cause: error });
  }
}

function loadFor(model: string, keys: Json, engine: object, folder: string, out: string) {
  return loadTask({ engine, ...keys, model: { from: model }, out }, [], { beside: folder });
}

/** What is still to be done on the model that a run ended with. */
export function tasksLeft(study: Study, cell: RunCell, record: RunRecord | undefined): readonly StudyTask[] {
  if (record === undefined || record.diverged !== undefined) return [];
  if (!existsSync(join(outputOf(study, cell), modelFolder))) return [];
  return study.tasks.filter(({ name, key }) => record.tasks?.[name]?.key !== key);
}

/** @throws UserError, Interrupted */
export async function runTask(study: Study, cell: RunCell, task: StudyTask, options: BuildOptions): Promise<TaskScore> {
  const { name, key, metric, keys, folder } = task;
  const model = join(outputOf(study, cell), modelFolder);
  const note = (text: string) => options.note?.(`${cell.title}, ${name}: ${text}`);
  const { engine } = study.training;
  if (isTask(keys.task)) {
    const threads = typeof engine.threads === "number" ? engine.threads : undefined;
    const asked = `${keys.task}=${resolve(folder, String(keys.path))}`;
    const figures = (await evaluateTasks(model, [asked], { engine: engine.kind, threads }))[keys.task];
    note(`${metric} ${figures[metric]}`);
    return { key, score: Number(figures[metric]) };
  }
  const out = join(cellFolder(study, cell), "tasks", name);
  const loaded = await loadFor(model, keys, engine, folder, out);
  const { score, spread } = await finetune(loaded, { note, stopped: options.stopped });
  return { key, score, spread };
}

/** Removes what a task has left once its score is recorded. */
export async function forgetTask(study: Study, cell: RunCell, { name }: StudyTask): Promise<void> {
  await removeWhole(join(cellFolder(study, cell), "tasks", name));
}
