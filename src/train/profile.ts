/** Where the time of a run's steps goes: some of its first steps, timed by class of operation. Nothing is written. */
import { openDataset } from "../data/prepared/dataset.ts";
import { openEngine } from "../engine/engines.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { median } from "./measure.ts";
import { subModelAt } from "./plan/stage.ts";
import type { LoadedRun } from "./run/settings.ts";
import { batchOf, checkFit, openStart, planRun } from "./run/setup.ts";
import { compiledSteps } from "./step/compiled.ts";
import { loadState } from "./step/state.ts";

export type StepProfile = Awaited<ReturnType<typeof profileRun>>;

const WARM_UP = 3;
const TIMED = 9;

/**
 * Times steps of the run's first stage, from its start, on its engine. The calls between the operations are timed too,
 * so the classes add up to a little more than the step.
 * @throws UserError if the engine can't tell
 */
export async function profileRun(run: LoadedRun, note: (text: string) => void = () => {}) {
  const { settings } = run;
  await using keep = keeping();
  const dataset = keep(await openDataset(settings.data.from));
  const start = keep(await openStart(run, dataset, note));
  const plan = await planRun(run, dataset, start.model, start.model.dimensions.layers, 0);
  const fitting = await checkFit(start.model, start.where, dataset, plan.objective, start.tokenizer);
  const engine = keep(await openEngine(settings.engine, note));
  await loadState(engine, start.model, start.parameters, start.where, start.moments);
  const [stage] = plan.stages;
  const sub = subModelAt(stage, start.model.dimensions.layers, settings.seed, 0);
  const { batch } = await compiledSteps(engine, start.model, plan.common).get(sub, stage.head);
  if (batch.profile === undefined) {
    const wayOut = "profile it on oneDNN: `bert2bert doctor` says how to get that";
    throw new UserError(`the engine ${engine.kind} can't tell where its time goes`, "engine.kind", wayOut);
  }
  const profiles: Readonly<Record<string, number>>[] = [];
  const steps: number[] = [];
  for (let step = 0; step < WARM_UP + TIMED; step++) {
    const made = batchOf({ settings, dataset: fitting, plan }, step, 0);
    const given = settings.batch.accumulate === 1 ? { ...made, rate: Float32Array.of(0) } : made;
    const began = performance.now();
    await batch.run(given);
    if (step >= WARM_UP) steps.push(performance.now() - began);
    const profile = await batch.profile(given);
    if (step >= WARM_UP) profiles.push(profile);
  }
  const medians = Object.keys(profiles[0]).map((of): [string, number] => [
    of,
    median(profiles.map((profile) => profile[of])),
  ]);
  return {
    engine: engine.description,
    /** Of the first stage, whose steps were timed. */
    stage: stage.name,
    /** Milliseconds of a whole step, the median. */
    step: median(steps),
    /** Milliseconds by class of operation, the median of each; what is most first. */
    classes: Object.fromEntries(medians.sort((a, b) => b[1] - a[1])),
  };
}
