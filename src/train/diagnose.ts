/**
 * Which parameter it was, when a loss or a gradient stopped being a number.
 *
 * By then a step has written NaN over everything, so the steps since the last good state are repeated (a run is a
 * function of its settings: they give the same bytes) up to the one that failed. Before it the parameters are looked
 * through; if all of them are numbers, the step is done once more without clipping, so that the first moments are not
 * numbers exactly where the gradients are not.
 */
import type { Engine, TensorData } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { keeping } from "../util/closing.ts";
import { rateAt } from "./plan/schedule.ts";
import { stageAt, subModelAt } from "./plan/stage.ts";
import type { Session } from "./saving.ts";
import { compiledSteps, runStep } from "./step/compiled.ts";
import { resetOptimizer } from "./step/state.ts";
import { momentNames } from "./step/step.ts";

interface Replay extends Pick<Session, "engine" | "plan" | "settings"> {
  readonly model: Model;
  /** Steps done in the state that the engine holds now. */
  readonly from: number;
  /** The step that failed, from 0. */
  readonly step: number;
  inputs(step: number, micro: number): Record<string, TensorData>;
}

/** In a few words what was not a number, or what was too large. */
export async function diagnose({ engine, model, plan, settings, from, step, inputs }: Replay): Promise<string> {
  const { stages, common } = plan;
  const { seed, schedule } = settings;
  await using keep = keeping();
  const usual = compiledSteps(engine, model, common);
  keep({ close: () => usual.keepOnly([], false) });
  const unclipped = compiledSteps(engine, model, { ...common, optimizer: { ...common.optimizer, clip: 0 } });
  keep({ close: () => unclipped.keepOnly([], false) });
  for (let at = from; at <= step; at++) {
    const stage = stageAt(stages, at);
    if (at === stage.start && at > 0 && stage.optimizer === "reset") await resetOptimizer(engine, model);
    const sub = subModelAt(stage, model.dimensions.layers, seed, at);
    const given = (micro: number) => inputs(at, micro);
    if (at < step) {
      const compiled = await usual.get(sub, stage.head);
      await runStep(compiled, common.accumulate, given, rateAt(settings.optimizer.lr, schedule, stages, stage, at));
      continue;
    }
    const { broken, largest } = await look(engine, model);
    if (broken !== undefined) return `${broken} held NaN or infinity before it`;
    const compiled = await unclipped.get(sub, stage.head);
    await runStep(compiled, common.accumulate, given, 0);
    const names = compiled.programs.trained.map((parameter) => parameter.name);
    const without = [];
    for (const name of names) if (await isBroken(engine, momentNames(name).m)) without.push(name);
    if (without.length > 0 && without.length < names.length) return `the gradient of ${without[0]} is not finite`;
    return `before it all weights were finite, the largest ${largest.value.toPrecision(3)} in ${largest.name}`;
  }
  throw new RangeError(`step ${step} comes before step ${from}`);
}

/** The first parameter that is not finite, and the one with the largest weight. */
export async function look(engine: Engine, model: Model) {
  const largest = { name: "", value: -1 };
  for (const { name } of model.parameters) {
    for (const value of await engine.read(name)) {
      if (!Number.isFinite(value)) return { broken: name, largest };
      if (Math.abs(value) > largest.value) Object.assign(largest, { name, value: Math.abs(value) });
    }
  }
  return { broken: undefined, largest };
}

async function isBroken(engine: Engine, name: string): Promise<boolean> {
  return !(await engine.read(name)).every(Number.isFinite);
}
