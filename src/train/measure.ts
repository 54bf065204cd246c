/** How fast a run's steps are where it is to run: a few of them, timed. Nothing is written. */
import { openEngine } from "../engine/engines.ts";
import type { Model } from "../model/architecture.ts";
import { keeping } from "../util/closing.ts";
import type { OpenRun } from "./open.ts";
import { type Stage, type SubModel, subModels } from "./plan/stage.ts";
import type { LoadedRun } from "./run/settings.ts";
import { batchOf } from "./run/setup.ts";
import { compiledSteps, runStep } from "./step/compiled.ts";
import { drawn, loadState } from "./step/state.ts";

/** Steps are timed until there are so many, or so much time went by. */
const STEPS = 6;
const MILLISECONDS = 5000;

/** Times steps of a stage's largest sub-model. @param index the stage's @throws UserError if they can't run here */
export async function measureSpeed(
  { settings }: LoadedRun,
  open: OpenRun,
  index: number,
  note: (text: string) => void,
) {
  const { plan, start, models } = open;
  const stage = plan.stages[index];
  await using keep = keeping();
  const engine = keep(await openEngine(open.engine, note));
  const model = models[index];
  await loadState(engine, start.model, start.parameters, start.where, start.moments);
  if (model !== start.model) {
    // What is still to be grown is drawn at random: its steps take as long.
    await engine.drop(engine.names());
    await loadState(engine, model, drawn(model, settings.seed), start.where, undefined);
  }
  const compiled = await compiledSteps(engine, model, plan.common).get(largestOf(stage, model), stage.head);
  const times: number[] = [];
  const began = performance.now();
  while (times.length < STEPS && performance.now() - began < MILLISECONDS) {
    const from = performance.now();
    const inputs = (micro: number) => batchOf({ ...open, settings }, stage.start + times.length, micro);
    await runStep(compiled, settings.batch.accumulate, inputs, 0);
    times.push(performance.now() - from);
  }
  // The first one warms up, where there is another.
  const steps = times.slice(Math.min(1, times.length - 1));
  return {
    /** Operations a second of the program, whole steps. */
    flops: (1000 * compiled.flops.exact) / median(steps),
    engine: engine.description,
    /** Whose steps were timed, and how many. */
    stage: stage.name,
    steps: steps.length,
  };
}

/** Of the sub-models that a stage draws from the one with the most blocks, and the most of them trained. */
export function largestOf(stage: Stage, model: Model): SubModel {
  return subModels(stage, model.dimensions.layers).reduce((most, sub) =>
    sub.layers + sub.train > most.layers + most.train ? sub : most,
  );
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
