/** What a run will take, before it starts: parameters, memory, operations. Nothing runs and nothing is written. */
import { openDataset } from "../data/prepared/dataset.ts";
import type { Model } from "../model/architecture.ts";
import { paperFlops } from "../model/flops.ts";
import { parameterCount } from "../model/table.ts";
import { workingBytes } from "../program/memory.ts";
import { checkMemory, has, inGigabytes, memoryRoom } from "../util/memory.ts";
import { stageModels } from "./growth.ts";
import { type StageSpec, type SubModel, subModels } from "./plan/stage.ts";
import { newestCheckpoint } from "./run/checkpoint.ts";
import type { LoadedRun } from "./run/settings.ts";
import { checkFit, openStart, planRun, type RunPlan, startFrom } from "./run/setup.ts";
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

/** @throws UserError for whatever `pretrain` would refuse before its first step */
export async function estimateRun(run: LoadedRun): Promise<RunEstimate> {
  const { settings } = run;
  const dataset = await openDataset(settings.data.from);
  try {
    const found = await newestCheckpoint(settings.out, () => {});
    const start =
      found === undefined ? await openStart(settings, dataset) : await startFrom(found.opened, dataset, true);
    try {
      const { model } = start;
      const plan = await planRun(run, dataset, model, found?.checkpoint.facts.layers ?? model.dimensions.layers);
      await checkFit(model, start.where, dataset, plan.objective, start.tokenizer);
      let parameters = 0;
      const stageModel = stageModels(model, plan.stages, settings.seed, found?.checkpoint.position.step ?? 0);
      const stages = plan.stages.map((stage, i): StageEstimate => {
        const model = stageModel[i];
        parameters = parameterCount(model.parameters);
        const models = stepEstimates(model, stage, plan.common);
        const steps = stage.end - stage.start;
        const { exact, paper } = meanFlops(models);
        return { name: stage.name, steps, models, flops: { exact: exact * steps, paper: paper * steps } };
      });
      return {
        architecture: model.architecture.type,
        parameters,
        steps: plan.steps,
        tokens: plan.steps * plan.size.tokensPerStep,
        stages,
        flops: {
          exact: stages.reduce((sum, stage) => sum + stage.flops.exact, 0),
          paper: stages.reduce((sum, stage) => sum + stage.flops.paper, 0),
        },
        memory: memoryOf(plan, stageModel),
      };
    } finally {
      await start.close();
    }
  } finally {
    dataset.close();
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
    // Of the sub-models one step draws from, the one with the most blocks and the most of them trained holds the most.
    const largest = subModels(stage, model.dimensions.layers).reduce((most, sub) =>
      sub.layers + sub.train > most.layers + most.train ? sub : most,
    );
    const form = { loss, accumulate, model: largest, head: stage.head };
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
