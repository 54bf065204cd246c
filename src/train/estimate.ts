/** What a run will take, before it starts: parameters, memory, operations, time. Nothing is written. */
import { adviceOnGrown } from "../advise/advise.ts";
import type { Share } from "../engine/engine.ts";
import { absence, runsInMemory, shareOf } from "../engine/engines.ts";
import type { Model } from "../model/architecture.ts";
import { parameterCount } from "../model/table.ts";
import { workingBytes } from "../program/memory.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { checkMemory, has, inGigabytes, memoryRoom } from "../util/memory.ts";
import { largestOf, measureSpeed } from "./measure.ts";
import { openRun } from "./open.ts";
import { type StageSpec, type SubModel, subModels } from "./plan/stage.ts";
import type { LoadedRun } from "./run/settings.ts";
import type { RunPlan } from "./run/setup.ts";
import { builtStep, type StepCommon } from "./step/compiled.ts";
import { layoutOf } from "./step/state.ts";
import { formKey } from "./step/step.ts";
import { bothCounts, type FlopsSoFar } from "./step/terms.ts";

/** One step of a sub-model. */
export interface StepEstimate extends SubModel {
  readonly flops: FlopsSoFar;
  /** Parameters that it changes. */
  readonly trained: number;
}

/** What a step of each sub-model of a stage costs. */
export function stepEstimates(model: Model, stage: StageSpec, common: StepCommon): readonly StepEstimate[] {
  return subModels(stage, model.dimensions.layers).map((sub) => {
    const { programs, flops } = builtStep(model, sub, stage.head, common);
    return { ...sub, flops, trained: parameterCount(programs.trained) };
  });
}

/** A step of a stage in the mean over its sub-models. */
export function meanFlops(steps: readonly StepEstimate[]): FlopsSoFar {
  return bothCounts((count) => steps.reduce((sum, { flops }) => sum + flops[count], 0) / steps.length);
}

export type RunEstimate = Awaited<ReturnType<typeof estimateRun>>;

export type RunMemory = ReturnType<typeof memoryOf>;

/**
 * @param options.measure whether a few steps are run to see how fast they are; default no
 * @throws UserError for whatever `pretrain` would refuse before its first step, but for a lack of memory or of an engine
 * here: the run may be meant for another machine
 */
export async function estimateRun(
  run: LoadedRun,
  { measure = false, note = () => {} }: { readonly measure?: boolean; readonly note?: (text: string) => void } = {},
) {
  await using keep = keeping();
  const open = keep(await openRun(run, note));
  const { plan, models, position } = open;
  const stages = plan.stages.map(({ name, start, end }, i) => {
    const subs = stepEstimates(models[i], plan.stages[i], plan.common);
    const mean = meanFlops(subs);
    const of = (steps: number) => bothCounts((count) => mean[count] * steps);
    const left = Math.max(0, end - Math.max(start, position.step));
    return {
      name,
      steps: end - start,
      /** The sub-models that are drawn, with the operations and trained parameters of one step each. */
      models: subs,
      /** Of all its steps, in the mean over the draws. */
      flops: of(end - start),
      /** Of those that are to come. */
      left: of(left),
    };
  });
  const sum = (of: "flops" | "left") => bothCounts((count) => stages.reduce((sum, stage) => sum + stage[of][count], 0));
  const memory = memoryOf(plan, models);
  const longest = stages.reduce((most, { left }, i) => (left.exact > stages[most].left.exact ? i : most), 0);
  const unmeasured =
    position.step >= plan.steps
      ? "the run has ended"
      : ((await absence(open.engine)) ??
        (runsInMemory(open.engine) ? lacks(memory, run.file.where([]), note) : undefined) ??
        (measure ? undefined : "that was not asked for"));
  const { dropout } = run.settings.optimizer;
  const tokens = plan.steps * plan.size.tokensPerStep;
  const { model, companions } = open.start;
  return {
    architecture: open.start.model.architecture.type,
    /** Of the last stage's model. */
    parameters: parameterCount(models[models.length - 1].parameters),
    steps: plan.steps,
    tokens,
    stages,
    flops: sum("flops"),
    memory,
    /** Where the run is for several devices: what each has of the largest step's program, in bytes. */
    share: shareOfStep(plan, models, open.engine),
    /** Steps that are done, also by a run that it carries further; and the operations of the others. */
    done: position.step,
    left: sum("left"),
    /** Of a grown model: what growing it may save; undefined for another, and of a run that goes on. */
    advice:
      position.step > 0
        ? undefined
        : await adviceOnGrown(model, companions.growth, tokens, dropout === "config" ? undefined : dropout),
    /** How fast its steps are here; where they were not timed, why not. */
    measured: unmeasured === undefined ? await measureSpeed(run, open, longest, note) : { unmeasured },
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
export function memoryOf({ stages, common }: RunPlan, models: readonly Model[]) {
  const copies = common.accumulate > 1 ? 4 : 3;
  const largest = stages.map((stage, i) => ({ model: largestOf(stage, models[i]), head: stage.head }));
  const working = largest.map(({ model, head }, i) => {
    const known = largest.findIndex((one, j) => models[j] === models[i] && formKey(one) === formKey({ model, head }));
    return known < i ? 0 : workingBytes(builtStep(models[i], model, head, common).programs.batch);
  });
  return {
    /** Parameters, moments and, with accumulation, accumulators, in bytes. */
    state: Math.max(...models.map(({ parameters }) => 4 * copies * parameterCount(parameters))),
    /**
     * The most that values between the programs' first and last node take at once, in bytes; f32, nothing fused. What an
     * engine takes is more: its allocator's rounding, and copies.
     */
    working: Math.max(...working),
  };
}

/** Of a step of the largest model, by all of its micro-batches; undefined where one device runs it. */
function shareOfStep(
  { stages, common }: RunPlan,
  models: readonly Model[],
  engine: Parameters<typeof shareOf>[0],
): Share | undefined {
  const sizes = models.map(({ parameters }) => parameterCount(parameters));
  const at = sizes.lastIndexOf(Math.max(...sizes));
  const { accumulate } = common;
  const largest = largestOf(stages[at], models[at]);
  const program = () => builtStep(models[at], largest, stages[at].head, { ...common, accumulate: 1 }).programs.batch;
  const share = shareOf(engine, program, layoutOf(models[at]));
  if (share === undefined || accumulate === 1) return share;
  const { devices, kept, gathered, reduced } = share;
  // Beside parameters and two moments an accumulator.
  return { devices, kept: (kept * 4) / 3, gathered: gathered * accumulate, reduced: reduced * accumulate };
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
