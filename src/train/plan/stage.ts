/**
 * A plan is a list of stages; a stage says which blocks run, which train, for how long, at which rate, and what the
 * optimizer keeps. The loop knows stages and nothing of the plans that made them.
 *
 * Lineage: two-stage pre-training (bert2BERT, section 3.4), StackBERT (Gong et al. 2019), MSLT (Yang et al. 2020) are
 * all lists of such stages.
 */
import { RandomStream } from "../../util/random.ts";
import type { StageSchedule } from "./schedule.ts";

/** A part of the model that a step runs: the bottom `layers` blocks with the head, of which the top `train` learn. */
export interface SubModel {
  readonly layers: number;
  /** How many of the topmost blocks that run are trained; embeddings train with the bottom block. */
  readonly train: number;
  /** Which blocks train where it is not the topmost: so many, from the bottom; embeddings then do not. */
  readonly blocks?: readonly number[];
}

/** Growth before a stage: what the model becomes, and how (the words of `bert2bert grow`). Absent sizes stay. */
export interface StageGrowth {
  readonly layers?: number;
  readonly hidden?: number;
  readonly heads?: number;
  readonly "kv-heads"?: number;
  readonly ffn?: number;
  readonly method: string;
  /** The method's own, by name. */
  readonly options: Readonly<Record<string, string | number>>;
  readonly map: string;
  readonly depth: string;
  readonly moments: string;
}

/** A stage as a plan writes it. Of `steps` and `share` at most one; the stage with neither takes what is left. */
export interface StageSpec {
  readonly name: string;
  readonly steps?: number;
  /** Of the run's steps. */
  readonly share?: number;
  /** Drawn uniformly, one a step; absent: the whole model, all of it trained. */
  readonly models?: readonly SubModel[];
  /** In place of `models`: all blocks run, and those train that the last growth added. */
  readonly train?: "new";
  /** Whether the output heads train. */
  readonly head: boolean;
  /** Absent: the run's schedule goes on. */
  readonly schedule?: StageSchedule;
  readonly optimizer: "keep" | "reset";
  readonly grow?: StageGrowth;
}

/** A stage with its place in the run: steps `start` (0-based, included) to `end` (excluded). */
export interface Stage extends StageSpec {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/** Why a list of stages is not a plan; the caller adds where it stands. */
export class PlanError extends Error {
  override readonly name = "PlanError";
}

/**
 * Places stages in a run. Boundaries are rounded from the cumulated shares, so they add up to the run whatever the
 * shares; a stage that comes out empty is left out.
 * @throws PlanError if the stages need more or fewer steps than the run has
 */
export function placeStages(specs: readonly StageSpec[], steps: number): readonly Stage[] {
  const open = specs.filter((spec) => spec.steps === undefined && spec.share === undefined);
  if (open.length > 1) {
    throw new PlanError("more than one stage has neither `steps` nor `share`");
  }
  const wanted = (spec: StageSpec) => spec.steps ?? (spec.share ?? 0) * steps;
  const given = specs.reduce((sum, spec) => sum + wanted(spec), 0);
  // Shares are decimal fractions: what is off by rounding is not off.
  const slack = 1e-6 * steps;
  if (given > steps + slack) throw new PlanError(`the stages take ${round(given)} steps, the run has ${steps}`);
  if (open.length === 0 && given < steps - slack) {
    throw new PlanError(`the stages take ${round(given)} of the run's ${steps} steps and none takes the rest`);
  }
  const rest = Math.max(0, steps - given);
  const stages: Stage[] = [];
  let sum = 0;
  let start = 0;
  specs.forEach((spec, index) => {
    sum += open.includes(spec) ? rest : wanted(spec);
    const end = index === specs.length - 1 ? steps : Math.min(steps, Math.round(sum));
    if (end > start) stages.push({ ...spec, index, start, end });
    else if (spec.grow !== undefined) throw new PlanError(`stage ${spec.name} grows the model and has no steps`);
    start = end;
  });
  return stages;
}

/** The stage that step `step` (0-based) belongs to. */
export function stageAt(stages: readonly Stage[], step: number): Stage {
  const stage = stages.find((candidate) => step >= candidate.start && step < candidate.end);
  if (stage === undefined) throw new RangeError(`no stage holds step ${step}`);
  return stage;
}

/** The sub-models of a stage in a model of so many layers. */
export function subModels(stage: StageSpec, layers: number): readonly SubModel[] {
  return stage.models ?? [{ layers, train: layers }];
}

/** The sub-model that a step runs: a function of (seed, step). */
export function subModelAt(stage: StageSpec, layers: number, seed: number, step: number): SubModel {
  const choices = subModels(stage, layers);
  return choices[choices.length === 1 ? 0 : new RandomStream(seed, "train/sub-model", step).below(choices.length, 0)];
}

/**
 * Whether the stages fit a model.
 * @throws PlanError naming the stage that runs or trains blocks the model does not have
 */
export function checkStages(stages: readonly StageSpec[], layers: number): void {
  let depth = layers;
  for (const stage of stages) {
    depth = stage.grow?.layers ?? depth;
    for (const model of stage.models ?? []) {
      if (model.layers > depth) {
        throw new PlanError(`stage ${stage.name} runs ${model.layers} blocks of a model that has ${depth}`);
      }
      if (model.train > model.layers) {
        throw new PlanError(`stage ${stage.name} trains ${model.train} of ${model.layers} blocks`);
      }
      if (model.train === 0 && !stage.head) throw new PlanError(`stage ${stage.name} trains nothing`);
    }
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
