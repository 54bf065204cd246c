/** What a run will take, before it starts: parameters, memory, operations, time. Nothing is written. */
import { absence } from "../engine/engines.ts";
import type { Model } from "../model/architecture.ts";
import { paperFlops } from "../model/flops.ts";
import { parameterCount } from "../model/table.ts";
import { workingBytes } from "../program/memory.ts";
import { UserError } from "../util/errors.ts";
import { checkMemory, has, inGigabytes, memoryRoom } from "../util/memory.ts";
import { largestOf, type Measured, measureSpeed } from "./measure.ts";
import { openRun } from "./open.ts";
import { type StageSpec, type SubModel, subModels } from "./plan/stage.ts";
import type { LoadedRun } from "./run/settings.ts";
import type { RunPlan } from "./run/setup.ts";
import type { StepCommon } from "./step/compiled.ts";
import { buildStep, formKey, trainFrom } from "./step/step.ts";
import type { FlopsSoFar } from "./step/terms.ts";

/** One step of a sub-model. */
export interface StepEstimate extends SubModel {
  readonly flops: FlopsSoFar;
  /** Parameters that it changes. */
  readonly trained: number;
}

/** What a step of each sub-model of a stage costs. */
export function stepEstimates(model: Model, stage: StageSpec, common: StepCommon): readonly StepEstimate[] {
  const { loss, accumulate, optimizer, shape } = common;
  return subModels(stage, model.dimensions.layers).map((sub) => {
    const programs = buildStep(model, { loss, accumulate, model: sub, head: stage.head }, optimizer);
    const paper = paperFlops(model, { ...shape, layers: sub.layers, trainFrom: trainFrom(sub) }).total;
    return {
      ...sub,
      flops: { exact: programs.flops, paper },
      trained: parameterCount(programs.trained),
    };
  });
}

/** A step of a stage in the mean over its sub-models. */
export function meanFlops(steps: readonly StepEstimate[]): FlopsSoFar {
  const mean = (of: (flops: FlopsSoFar) => number) =>
    steps.reduce((sum, step) => sum + of(step.flops), 0) / steps.length;
  return { exact: mean((flops) => flops.exact), paper: mean((flops) => flops.paper) };
}

export interface StageEstimate {
  readonly name: string;
  readonly steps: number;
  /** The sub-models that are drawn, with the operations and trained parameters of one step each. */
  readonly models: readonly StepEstimate[];
  /** Of all its steps, in the mean over the draws. */
  readonly flops: FlopsSoFar;
}

export interface RunEstimate {
  readonly architecture: string;
  /** Of the last stage's model. */
  readonly parameters: number;
  readonly steps: number;
  readonly tokens: number;
  readonly stages: readonly StageEstimate[];
  readonly flops: FlopsSoFar;
  readonly memory: RunMemory;
  /** Steps that are done, those of a run that it carries further with them, and the operations of the others. */
  readonly done: number;
  readonly left: FlopsSoFar;
  /** How fast its steps are here; where they were not timed, why not. */
  readonly speed: Measured | { readonly unmeasured: string };
}

export interface RunMemory {
  /** Parameters, moments and, with accumulation, accumulators, in bytes. */
  readonly state: number;
  /**
   * The most that values between the programs' first and last node take at once, in bytes; f32, nothing fused. What an
   * engine takes is more: its allocator's rounding, and copies.
   */
  readonly working: number;
}

/**
 * @param options.measure whether a few steps are run to see how fast they are; default yes
 * @throws UserError for whatever `pretrain` would refuse before its first step, but for a lack of memory or of an engine
 * here: the run may be meant for another machine
 */
export async function estimateRun(
  run: LoadedRun,
  options: { readonly measure?: boolean; readonly note?: (text: string) => void } = {},
): Promise<RunEstimate> {
  const { settings } = run;
  const { measure = true, note = () => {} } = options;
  const open = await openRun(run, note);
  try {
    const { plan, models, position } = open;
    const stages = plan.stages.map((stage, i) => {
      const steps = stage.end - stage.start;
      const subs = stepEstimates(models[i], stage, plan.common);
      const mean = meanFlops(subs);
      const left = Math.min(steps, Math.max(0, stage.end - position.step));
      return {
        stage,
        left: times(mean, left),
        estimate: { name: stage.name, steps, models: subs, flops: times(mean, steps) },
      };
    });
    const memory = memoryOf(plan, models);
    const most = stages.reduce((most, one) => (one.left.exact > most.left.exact ? one : most));
    const unmeasured = (await absence(settings.engine.kind)) ?? lacks(memory, run.file.where([]), note);
    return {
      architecture: open.start.model.architecture.type,
      parameters: parameterCount(models[models.length - 1].parameters),
      steps: plan.steps,
      tokens: plan.steps * plan.size.tokensPerStep,
      stages: stages.map(({ estimate }) => estimate),
      flops: sum(stages.map(({ estimate }) => estimate.flops)),
      memory,
      done: position.step,
      left: sum(stages.map(({ left }) => left)),
      speed:
        !measure || unmeasured !== undefined
          ? { unmeasured: unmeasured ?? "a speed is given" }
          : await measureSpeed(open, settings, most.stage, note),
    };
  } finally {
    await open.close();
  }
}

function times({ exact, paper }: FlopsSoFar, steps: number): FlopsSoFar {
  return { exact: exact * steps, paper: paper * steps };
}

function sum(all: readonly FlopsSoFar[]): FlopsSoFar {
  return {
    exact: all.reduce((sum, flops) => sum + flops.exact, 0),
    paper: all.reduce((sum, flops) => sum + flops.paper, 0),
  };
}

/** What is said where a run can't be held; undefined where it can. */
function lacks(memory: RunMemory, where: string, note: (text: string) => void): string | undefined {
  try {
    const tight = checkRunMemory(memory, where);
    if (tight !== undefined) note(tight);
    return undefined;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.what;
  }
}

/** What the largest step of a run takes. @param models that of each stage */
export function memoryOf({ stages, common }: RunPlan, models: readonly Model[]): RunMemory {
  const { loss, accumulate, optimizer } = common;
  const seen = new Map<Model, Set<string>>();
  let state = 0;
  let working = 0;
  stages.forEach((stage, i) => {
    const model = models[i];
    state = Math.max(state, 4 * parameterCount(model.parameters) * (accumulate > 1 ? 4 : 3));
    const form = { loss, accumulate, model: largestOf(stage, model), head: stage.head };
    const known = seen.get(model) ?? new Set();
    seen.set(model, known);
    if (known.has(formKey(form))) return;
    known.add(formKey(form));
    working = Math.max(working, workingBytes(buildStep(model, form, optimizer).batch));
  });
  return { state, working };
}

/**
 * Refuses a run that can't fit into the memory there is, before anything is written.
 * @returns a warning where it may not fit: engines were measured to take up to twice the working values
 * @throws UserError
 */
export function checkRunMemory(memory: RunMemory, where: string, room = memoryRoom()): string | undefined {
  const wayOut = "lower batch.sequences and raise batch.accumulate as much, choose a smaller model, or free memory";
  checkMemory(memory.state + memory.working, "the run", where, wayOut, room);
  const likely = memory.state + 2 * memory.working + 100e6;
  return likely <= room.bytes ? undefined : `the run may take ${inGigabytes(likely)} of memory, and ${has(room)}`;
}
