/**
 * Making a cell: each does what a command does (`tokenizer train`, `prepare`, `grow`, `pretrain`) and leaves what that
 * command leaves, under `cells/ID/` of the study's folder. A run's settings are written once, when it is first begun; then
 * it is an ordinary run, carried on from its own checkpoints.
 */
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { prepare } from "../data/prepared/prepare.ts";
import { trainTokenizer } from "../data/tokenizer/train.ts";
import { applyGrowth } from "../growth/apply.ts";
import { planGrowth } from "../growth/plan.ts";
import { openModel } from "../model/load.ts";
import { writeFileWhole } from "../store/files.ts";
import { placeStages } from "../train/plan/stage.ts";
import { pretrain } from "../train/pretrain.ts";
import { checkpointsFolder, newestCheckpoint, stepsThere } from "../train/run/checkpoint.ts";
import { metricsFile, modelFolder } from "../train/run/folder.ts";
import { readMetrics } from "../train/run/metrics.ts";
import { loadRun } from "../train/run/settings.ts";
import { Diverged, type RunProgress } from "../train/trainer.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import type { Cell, GivenCell, RunCell } from "./cells.ts";
import { type RunRecord, runRecord } from "./record.ts";
import type { Study } from "./settings.ts";

export interface BuildOptions {
  readonly progress?: (progress: RunProgress) => void;
  readonly note?: (text: string) => void;
  readonly stopped?: () => "SIGINT" | "SIGTERM" | undefined;
}

/** A cell's own folder. */
export function cellFolder(study: Study, cell: Cell): string {
  return cell.kind === "given" ? cell.folder : join(study.out, "cells", cell.id);
}

/** What others use of a cell. */
export function outputOf(study: Study, cell: Cell): string {
  return join(cellFolder(study, cell), cell.output);
}

export function isBuilt(study: Study, cell: Cell): boolean {
  const output = outputOf(study, cell);
  if (cell.kind !== "run") return existsSync(output);
  const kept = cell.keep.every((step) => existsSync(join(output, checkpointsFolder, `step-${step}`)));
  return existsSync(join(output, modelFolder)) && kept;
}

/** Makes a cell whose needs are there. @throws UserError, Interrupted */
export async function buildCell(study: Study, cell: Cell, options: BuildOptions): Promise<RunRecord | undefined> {
  if (cell.kind === "given") {
    throw new UserError(`${cell.title} is not there`, cell.folder, "put it back, or name it anew with --set");
  }
  const folder = cellFolder(study, cell);
  await mkdir(folder, { recursive: true });
  await writeFileWhole(join(folder, "cell.json"), `${JSON.stringify({ title: cell.title, ...cell.spec }, null, 2)}\n`);
  const { note } = options;
  const out = outputOf(study, cell);
  if (cell.kind === "run") return buildRun(study, cell, options);
  if (cell.kind === "grown") {
    // The source grown from its last checkpoint, whose moments may go along.
    await using keep = keeping();
    const source = keep(await openModel(await sourceFolder(study, cell.source), { compareCopies: false }));
    const choices = { ...cell.growth, method: cell.method, seed: cell.seed };
    await applyGrowth(planGrowth(source.model, cell.target, choices), source, out);
    return undefined;
  }
  if ("from" in study.data) throw new Error("the data is given, not made");
  const { files: paths, field, tokenizer, length, validation } = study.data;
  if (cell.kind === "tokenizer") await trainTokenizer({ paths, field, note, out, ...tokenizer });
  else await prepare({ paths, field, note, tokenizer: outputOf(study, cell.tokenizer), out, length, validation });
  return undefined;
}

async function sourceFolder(study: Study, source: RunCell | GivenCell): Promise<string> {
  const output = outputOf(study, source);
  if (source.kind === "given") return output;
  const newest = (await stepsThere(output)).at(0);
  return newest === undefined ? join(output, modelFolder) : join(output, checkpointsFolder, `step-${newest}`);
}

async function buildRun(study: Study, cell: RunCell, options: BuildOptions): Promise<RunRecord> {
  const folder = cellFolder(study, cell);
  const path = join(folder, "run.yaml");
  if (!existsSync(path)) {
    if ("init" in cell.start) {
      await writeFileWhole(join(folder, "config.json"), `${JSON.stringify(cell.start.init, null, 2)}\n`);
    }
    await writeFileWhole(path, await runYaml(study, cell));
  }
  // A trunk that ended before a branch was asked for has lost its first steps: it is made again.
  if (existsSync(join(folder, "run", modelFolder))) await rm(join(folder, "run"), { recursive: true });
  const { engine } = study.training;
  const keep = cell.keep.length === 0 ? [] : [`checkpoint.at=${JSON.stringify(cell.keep)}`];
  const sets = Object.entries(engine).map(([key, value]) => `engine.${key}=${JSON.stringify(value)}`);
  const run = await loadRun(path, [...sets, ...keep]);
  try {
    await pretrain(run, options);
  } catch (error) {
    if (!(error instanceof Diverged)) throw error;
    options.note?.(`${cell.title}: ${error.what}`);
    return recordOf(study, cell, error.what);
  }
  return recordOf(study, cell);
}

/** The record of a run that has ended. */
export async function recordOf(study: Study, cell: RunCell, diverged?: string): Promise<RunRecord> {
  const output = outputOf(study, cell);
  const { length } = (await loadRun(join(cellFolder(study, cell), "run.yaml"))).settings;
  const steps = "steps" in length ? length.steps : cell.steps;
  const found = await newestCheckpoint(output, () => {});
  await found?.opened.close();
  const engine = found?.checkpoint.facts.engine ?? study.training.engine.kind;
  const lines = await readMetrics(join(output, metricsFile));
  return runRecord(cell, lines, placeStages(cell.plan, steps), { engine, diverged });
}

/** RUN.yaml of a cell, relative to the cell's folder. */
async function runYaml(study: Study, cell: RunCell): Promise<string> {
  const { stringify } = await import("yaml");
  const folder = cellFolder(study, cell);
  const way = (path: string) => relative(folder, path).split(sep).join("/");
  const { objective, batch, evaluate, checkpoint, log, engine } = study.training;
  const { start, seed, optimizer, schedule, steps, plan } = cell;
  const run = {
    ...{ out: "run", seed },
    model:
      "init" in start
        ? { init: "config.json" }
        : "grown" in start
          ? { from: way(outputOf(study, start.grown)) }
          : { from: way(outputOf(study, start.trunk)), step: start.step },
    data: { from: way(outputOf(study, cell.data)) },
    ...{ objective, batch, optimizer, schedule, steps, plan, evaluate },
    checkpoint: { ...checkpoint, keep: 1 },
    ...{ log, engine },
  };
  return `# ${cell.title}: a cell of the study "${study.title}".\n${stringify(run, { lineWidth: 120 })}`;
}
