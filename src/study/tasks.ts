/**
 * Tasks on the models that a study's runs end with: fine-tuned on (the keys of a TASK.yaml less `model` and `out`), or done
 * without training (`task` and `path`). A score stands in its run's record with the key of what was asked, the contents of
 * its files included: it is not made twice, and made anew where that has changed.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { findSources } from "../data/text/sources.ts";
import { hashFile } from "../store/checksums.ts";
import { removeWhole } from "../store/files.ts";
import { evaluateTasks, headlineOf } from "../tasks/evaluate.ts";
import { finetune } from "../tasks/finetune/finetune.ts";
import { dataFiles, loadTask } from "../tasks/finetune/settings.ts";
import { modelFolder } from "../train/run/folder.ts";
import { UserError } from "../util/errors.ts";
import type { SettingsFile } from "../util/settings.ts";
import { type BuildOptions, cellFolder, outputOf } from "./build.ts";
import type { RunCell } from "./cells.ts";
import { asJson, keyOf } from "./identity.ts";
import { type RunRecord, type TaskScore, writeRunRecord } from "./record.ts";
import type { StudyFile } from "./schema.ts";
import type { Study } from "./settings.ts";

export interface StudyTask {
  readonly name: string;
  readonly key: string;
  /** What it is judged by. */
  readonly metric: string;
  /** @param out a folder for what it needs while it goes on @throws UserError, Interrupted */
  run(model: string, out: string, options: BuildOptions): Promise<Omit<TaskScore, "key">>;
}

/** The tasks of a study; paths in them are relative to `folder`. @throws UserError for keys that are no task's */
export async function studyTasks(
  { tasks, engine }: StudyFile,
  folder: string,
  file: SettingsFile,
): Promise<readonly StudyTask[]> {
  const threads = typeof engine.threads === "number" ? engine.threads : undefined;
  const read = async (name: string, { task, ...keys }: StudyFile["tasks"][string]): Promise<StudyTask> => {
    const known = async (paths: readonly string[]) => {
      const files = await Promise.all(paths.filter((path) => existsSync(path)).map((path) => hashFile(path)));
      return { name, key: keyOf(asJson({ task, ...keys, files })) };
    };
    const metric = headlineOf(task);
    if (metric === undefined) {
      const load = (from: string, out: string) =>
        loadTask({ engine, task, ...keys, model: { from }, out }, [], { beside: folder });
      const { data, metric: own } = (await load(folder, name)).settings;
      return {
        ...{ ...(await known(dataFiles(data))), metric: own },
        run: async (model, out, options) => {
          const { score, spread } = await finetune(await load(model, out), { ...options, progress: undefined });
          return { score, spread };
        },
      };
    }
    const { path } = keys;
    if (typeof path !== "string") throw new UserError(`${task} needs a path`, name, "give `path: FILE`");
    const place = resolve(folder, path);
    const run = async (model: string) => {
      const asked = [`${task}=${place}`];
      const figures = await evaluateTasks(model, asked, { engine: engine.kind, threads });
      return { score: Number(figures[task][metric]) };
    };
    const sources = existsSync(place) ? await findSources([place]) : [];
    return { ...(await known(sources.map((source) => source.path))), metric, run };
  };
  const located = ([name, keys]: [string, StudyFile["tasks"][string]]) =>
    read(name, keys).catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error;
      throw file.error(["tasks", name], error.what, error.wayOut);
    });
  return Promise.all(Object.entries(tasks).map(located));
}

/** What is still to be done on the model that a run ended with. */
export function tasksLeft(study: Study, cell: RunCell, record: RunRecord | undefined): readonly StudyTask[] {
  if (record === undefined || record.diverged !== undefined) return [];
  if (!existsSync(join(outputOf(study, cell), modelFolder))) return [];
  return study.tasks.filter(({ name, key }) => record.tasks?.[name]?.key !== key);
}

/** Adds a task's score to a run's record; what it needed goes. @throws UserError, Interrupted */
export async function doTask(
  study: Study,
  cell: RunCell,
  record: RunRecord,
  { name, key, metric, run }: StudyTask,
  options: BuildOptions,
): Promise<void> {
  const note = (text: string) => options.note?.(`${cell.title}, ${name}: ${text}`);
  const folder = join(cellFolder(study, cell), "tasks");
  const done = await run(join(outputOf(study, cell), modelFolder), join(folder, key), { ...options, note });
  note(`${metric} ${done.score}`);
  await writeRunRecord(study.records, { ...record, tasks: { ...record.tasks, [name]: { key, ...done } } }, cell);
  await removeWhole(folder);
}
