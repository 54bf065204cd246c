/**
 * A learning rate, measured: steps from where the run stands, each at a higher rate than the one before, until the loss
 * rises; suggested is the rate at which the smoothed loss falls fastest. Nothing is written.
 *
 * The sweep is the range test of Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017, section 3.3);
 * smoothing (an exponential mean with its bias corrected), the end (four times the lowest), what is left out of the
 * suggestion and the steepest slope are those of PyTorch Lightning's LearningRateFinder with its exponential sweep.
 */
import { openEngine, runsInMemory } from "../engine/engines.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { checkRunMemory, memoryOf } from "./estimate.ts";
import { largestOf } from "./measure.ts";
import { openRun } from "./open.ts";
import { stageAt } from "./plan/stage.ts";
import type { LoadedRun } from "./run/settings.ts";
import { batchOf } from "./run/setup.ts";
import { compiledSteps, runStep } from "./step/compiled.ts";
import { loadState } from "./step/state.ts";

export interface RateTried {
  readonly rate: number;
  readonly loss: number;
  readonly smoothed: number;
}

export interface FindRateOptions {
  readonly note?: (text: string) => void;
  readonly progress?: (tried: RateTried, step: number) => void;
}

const [LEAST, MOST] = [1e-7, 1];
const SMOOTHING = 0.98;
/** Of the lowest smoothed loss: above it the sweep ends. */
const RISEN = 4;
/** Of the first steps, while the mean settles, and of the last none is suggested. */
const [FIRST, LAST] = [10, 1];

/** @param steps from 1e-7 to 1 @throws UserError for what `pretrain` refuses */
export async function findRate(run: LoadedRun, steps: number, options: FindRateOptions = {}) {
  const { settings, file } = run;
  await using keep = keeping();
  const open = keep(await openRun(run, options.note ?? (() => {})));
  const { plan, models, position, start } = open;
  if (runsInMemory(open.engine)) checkRunMemory(memoryOf(plan, models), file.where([]));
  const stage = stageAt(plan.stages, Math.min(position.step, plan.steps - 1));
  if (models[plan.stages.indexOf(stage)] !== start.model) {
    const what = `stage ${stage.name} is next, and begins with a growth`;
    throw file.error(["plan"], what, "grow first, and find the rate of what is grown");
  }
  const engine = keep(await openEngine(open.engine, options.note));
  await loadState(engine, start.model, start.parameters, start.where, start.moments);
  const sub = largestOf(stage, start.model);
  const compiled = await compiledSteps(engine, start.model, plan.common).get(sub, stage.head);
  const curve: RateTried[] = [];
  let [mean, lowest] = [0, Number.POSITIVE_INFINITY];
  while (curve.length < steps) {
    const rate = LEAST * (MOST / LEAST) ** (curve.length / (steps - 1));
    const inputs = (micro: number) => batchOf({ ...open, settings }, position.step + curve.length, micro);
    const { loss } = await runStep(compiled, settings.batch.accumulate, inputs, rate);
    mean = SMOOTHING * mean + (1 - SMOOTHING) * loss;
    const smoothed = mean / (1 - SMOOTHING ** (curve.length + 1));
    if (!Number.isFinite(smoothed)) break;
    curve.push({ rate, loss, smoothed });
    options.progress?.(curve[curve.length - 1], curve.length);
    if (smoothed > RISEN * lowest) break;
    lowest = Math.min(lowest, smoothed);
  }
  if (curve.length === 0) {
    throw new UserError("its first step gives a loss that is not a number", start.where, "inspect the model");
  }
  return {
    /** null: the loss fell nowhere. */
    suggestion: steepest(curve),
    engine: engine.description,
    /** Of the run, whose steps were tried. */
    stage: stage.name,
    /** In the order in which they were tried: fewer than asked for where the loss rose before. */
    curve,
  };
}

/** The rate where the smoothed loss falls fastest from step to step, by central differences. */
export function steepest(curve: readonly RateTried[]): number | null {
  const tried = curve.slice(FIRST, curve.length - LAST);
  let [steep, suggestion]: [number, number | null] = [0, null];
  for (const [i, { rate }] of tried.entries()) {
    const [before, after] = [Math.max(0, i - 1), Math.min(tried.length - 1, i + 1)];
    const slope = (tried[after].smoothed - tried[before].smoothed) / (after - before);
    if (slope < steep) [steep, suggestion] = [slope, rate];
  }
  return suggestion;
}
