/**
 * Running a study: cells that have no record yet, in an order that makes partial results worth looking at. First the
 * source, then every method once in the order of the file; then further rates; then, with the best rate of each method,
 * further seeds.
 *
 * It can be stopped at any instruction and started again, and started several times at once: a cell is made under its
 * own lock, and who finds one held takes another. Nobody waits while others have work that is free.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mean } from "../report/annealed.ts";
import { Held, takeLock } from "../store/lock.ts";
import { keeping } from "../util/closing.ts";
import { Interrupted } from "../util/errors.ts";
import { type BuildOptions, buildCell, isBuilt, outputOf, recordOf } from "./build.ts";
import { type Cell, type RunCell, StudyCells } from "./cells.ts";
import { readFrequencies, writeFrequencies } from "./frequencies.ts";
import { resolveInputs, writeInputs } from "./inputs.ts";
import type { Additions } from "./plans.ts";
import { type RunRecord, readRunRecord, writeRunRecord } from "./record.ts";
import { REFERENCE, type Study, type StudyMethod } from "./settings.ts";
import { doTask, type StudyTask, tasksLeft } from "./tasks.ts";

/** One run of a method. */
export interface Trial {
  readonly method: StudyMethod;
  readonly rate: number;
  readonly seed: number;
  /** Of the budget, where it ends; below 1 a branch of the same trunk. */
  readonly share: number;
  readonly cell: RunCell;
  /** 0: the first run of a method; 1: a further rate; 2: a further seed, or a branch with the chosen rate. */
  readonly phase: number;
  readonly record: RunRecord | undefined;
}

/** Where a study stands. */
export interface StudyState {
  readonly study: Study;
  readonly cells: StudyCells;
  readonly source: RunRecord | undefined;
  /** The loss that knowing each token's frequency gives; undefined while the data was not looked at. */
  readonly unigramLoss: number | undefined;
  /** In the order in which they run. */
  readonly trials: readonly Trial[];
  /** Seeds whose rate is not chosen yet, by method. */
  readonly waiting: ReadonlyMap<string, readonly number[]>;
  /** The rate each method goes on with; absent while it is not chosen. */
  readonly rates: ReadonlyMap<string, number>;
}

export interface StudyOptions extends BuildOptions, Additions {
  /** Methods to run; default all. What is there of the others is shown nevertheless. */
  readonly only?: readonly string[];
  /** Told before each cell. */
  readonly begin?: (cell: Cell, done: number, all: number) => void;
  /** Told after each cell that others may want to see. */
  readonly finished?: (state: StudyState) => Promise<void>;
}

/** Between two looks at cells that others hold, in ms. */
const PATIENCE = 1000;

/** Opens a study without running anything. @throws UserError */
export async function openStudy(study: Study, additions: Additions = {}): Promise<StudyCells> {
  return StudyCells.open(study, await resolveInputs(study), additions);
}

/** Runs what is missing. @throws UserError, Interrupted */
export async function runStudy(study: Study, options: StudyOptions = {}): Promise<StudyState> {
  const inputs = await resolveInputs(study);
  const cells = await StudyCells.open(study, inputs, options);
  // Whatever does not fit is said before anything is written.
  await stateOf(cells);
  await writeInputs(study, inputs);
  for (;;) {
    const state = await stateOf(cells);
    const { done, all } = progressOf(state);
    const begin = (one: Cell) => options.begin?.(one, done, all);
    const work = [
      ...missingTasks(state, options.only).map((given) => () => finishTask(study, ...given, options)),
      ...runsIn(state, options.only)
        .filter(({ record }) => record === undefined)
        .map(
          ({ cell }) =>
            () =>
              make(study, cell, { ...options, begin }, true),
        ),
    ];
    if (work.length === 0) return state;
    let worked = false;
    for (const one of work) {
      check(options);
      worked = await one();
      if (worked) break;
    }
    if (worked) await options.finished?.(await stateOf(cells));
    else await patience(options);
  }
}

/** What is there: every run that the settings mean as yet, with its record where it has one. */
export async function stateOf(cells: StudyCells): Promise<StudyState> {
  const { study } = cells;
  const { records } = study;
  const trials: Trial[] = [];
  const waiting = new Map<string, readonly number[]>();
  const rates = new Map<string, number>();
  for (const method of study.methods) {
    const [first, ...further] = method.seeds;
    const trial = async (rate: number, seed: number, phase: number, share = 1): Promise<Trial> => {
      const cell = cells.method(method, rate, seed, share);
      return { method, rate, seed, share, cell, phase, record: await readRunRecord(records, cell) };
    };
    const tried: Trial[] = [];
    for (const [i, rate] of method.rates.entries()) tried.push(await trial(rate, first, i === 0 ? 0 : 1));
    trials.push(...tried);
    const rate = bestRate(tried);
    if (rate === undefined) {
      if (further.length > 0) waiting.set(method.name, further);
      continue;
    }
    rates.set(method.name, rate);
    for (const seed of method.seeds) {
      // The whole budget first: it makes the trunk.
      const shares = [...cells.sharesOf(method)].reverse();
      for (const share of shares) {
        if (seed !== first || share !== 1) trials.push(await trial(rate, seed, 2, share));
      }
    }
  }
  const source = cells.ownSource && (await readRunRecord(records, cells.ownSource));
  // Seeds in rounds, so that no method is ahead of another: by phase, then the place of the seed, then the file's order.
  const place = (trial: Trial) => trial.method.seeds.indexOf(trial.seed);
  trials.sort((a, b) => a.phase - b.phase || place(a) - place(b));
  const unigramLoss = (await readFrequencies(records, cells.data))?.unigramLoss;
  return { study, cells, source, unigramLoss, trials, waiting, rates };
}

/** The rate with the lowest final loss, once all have been tried. */
function bestRate(tried: readonly Trial[]): number | undefined {
  if (tried.length === 1) return tried[0].rate;
  if (tried.some((trial) => trial.record === undefined)) return undefined;
  const losses = tried.map((trial) => finalLoss(trial.record) ?? Number.POSITIVE_INFINITY);
  return tried[losses.indexOf(Math.min(...losses))].rate;
}

/** The last evaluation of a run that came to its end. */
export function finalLoss(record: RunRecord | undefined): number | undefined {
  return record === undefined || record.diverged !== undefined ? undefined : record.evaluations.at(-1)?.loss;
}

/** The runs that are known as yet, those of some methods alone where they are named; first things first. */
export function runsIn({ cells: { ownSource }, source, trials }: StudyState, only?: readonly string[]) {
  const chosen = trials.filter(({ method }) => only?.includes(method.name) ?? true);
  return ownSource === undefined ? chosen : [{ cell: ownSource, record: source }, ...chosen];
}

/** How many of them are done. */
export function progressOf(state: StudyState): { readonly done: number; readonly all: number } {
  const runs = runsIn(state);
  return { done: runs.filter(({ record }) => record !== undefined).length, all: runs.length };
}

/** Tasks that are to be done now. */
function missingTasks(state: StudyState, only?: readonly string[]): readonly (readonly [RunCell, StudyTask])[] {
  const methods = state.study.methods.filter(({ name }) => only?.includes(name) ?? true);
  return methods
    .flatMap((method) => {
      const { whole, saved } = judged(state, method);
      return [...whole, ...saved];
    })
    .flatMap(({ cell, record }) => tasksLeft(state.study, cell, record).map((task) => [cell, task] as const));
}

/**
 * A method's runs with the chosen rate whose models the tasks are for: those of the whole budget, and of each seed the cheapest
 * branch that ends where the reference does or below (the mean of its seeds): what is kept once the FLOPs are saved.
 */
export function judged({ trials, rates }: StudyState, { name }: StudyMethod) {
  const chosen = (of: string) => trials.filter(({ method, rate }) => method.name === of && rate === rates.get(of));
  const wholeOf = (of: string) => chosen(of).filter(({ share }) => share === 1);
  const aim = mean(wholeOf(REFERENCE).map(({ record }) => finalLoss(record) ?? Number.NaN));
  const own = chosen(name);
  const cheapest = (seed: number) => {
    const branches = own.filter((trial) => trial.seed === seed).sort((a, b) => a.share - b.share);
    // Before all are there a cheaper one may still come.
    const reached = branches.every(({ record }) => record !== undefined)
      ? branches.find(({ record }) => (finalLoss(record) ?? Number.POSITIVE_INFINITY) <= aim)
      : undefined;
    return reached === undefined || reached.share === 1 ? [] : [reached];
  };
  const seeds = [...new Set(own.map(({ seed }) => seed))];
  return { whole: wholeOf(name), saved: name === REFERENCE ? [] : seeds.flatMap(cheapest) };
}

/** @returns as `make` */
function finishTask(study: Study, cell: RunCell, task: StudyTask, options: BuildOptions): Promise<boolean> {
  return locked(study, cell, async () => {
    const record = await readRunRecord(study.records, cell);
    if (record !== undefined && tasksLeft(study, cell, record).includes(task)) {
      await doTask(study, cell, record, task, options);
    }
    return true;
  });
}

/**
 * Makes a cell, and what it needs. @param recorded whether a run is to leave its record, as those that are asked for do; a
 * trunk that led to no number leaves one too, and no model: its branches end as it did
 * @returns whether it is there; not if somebody else is at it
 */
async function make(
  study: Study,
  cell: Cell,
  options: BuildOptions & { readonly begin: (cell: Cell) => void },
  recorded = false,
): Promise<boolean> {
  const { records } = study;
  const recordIn = async (one: Cell) => (one.kind === "run" ? await readRunRecord(records, one) : undefined);
  const isDone = async () => {
    if (!recorded && isBuilt(study, cell)) return true;
    const record = await recordIn(cell);
    return recorded ? record !== undefined : record?.diverged !== undefined;
  };
  const work = async () => {
    if (await isDone()) return true;
    if (cell.kind === "run" && isBuilt(study, cell)) {
      await writeRunRecord(records, await recordOf(study, cell), cell);
      return true;
    }
    for (const need of cell.needs) if (!(await make(study, need, options))) return false;
    if (cell.kind === "run") {
      const failed = "trunk" in cell.start ? await recordIn(cell.start.trunk) : undefined;
      if (failed?.diverged !== undefined) {
        const { key, title, spec } = cell;
        await writeRunRecord(records, { ...failed, key, title, spec }, cell);
        return true;
      }
      await writeFrequencies(records, cell.data, outputOf(study, cell.data));
    }
    check(options);
    options.begin(cell);
    const record = await buildCell(study, cell, options);
    if (cell.kind !== "run") return true;
    if (record === undefined) throw new Error(`${cell.id} left no record`);
    if (recorded || record.diverged !== undefined) await writeRunRecord(records, record, cell);
    return true;
  };
  return (await isDone()) || locked(study, cell, work);
}

/** Does something under a cell's lock. @returns false if somebody else holds it */
async function locked(study: Study, cell: Cell, work: () => Promise<boolean>): Promise<boolean> {
  if (cell.kind === "given") return work();
  try {
    await using keep = keeping();
    keep(await takeLock(join(study.out, "cells", `${cell.id}.lock`), cell.title));
    return await work();
  } catch (error) {
    if (error instanceof Held) return false;
    throw error;
  }
}

async function patience(options: BuildOptions): Promise<void> {
  for (let waited = 0; waited < PATIENCE; waited += 100) {
    check(options);
    await sleep(100);
  }
}

function check({ stopped }: BuildOptions): void {
  const signal = stopped?.();
  if (signal !== undefined) throw new Interrupted(signal, "what is done is kept; the same command goes on from here");
}
