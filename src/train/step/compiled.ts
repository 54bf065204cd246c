/** The compiled programs of a model's steps: one for each sub-model, made when first needed, kept while it may return. */
import type { Engine, Executable, TensorData } from "../../engine/engine.ts";
import type { Model } from "../../model/architecture.ts";
import { paperFlops, type StepShape } from "../../model/flops.ts";
import type { SubModel } from "../plan/stage.ts";
import { addAccumulators } from "./state.ts";
import { buildStep, formKey, type OptimizerRule, type StepForm, type StepPrograms, trainedOf } from "./step.ts";
import { addTerms, type FlopsSoFar, type TermSums } from "./terms.ts";

interface BuiltStep {
  readonly programs: StepPrograms;
  /** Operations of one step. */
  readonly flops: FlopsSoFar;
}

/** A step that can be run. */
export interface CompiledStep extends BuiltStep {
  readonly batch: Executable;
  readonly apply: Executable | undefined;
}

export interface StepResult {
  /** The sum of the micro-batches' losses, which is the mean over what the step counts. */
  readonly loss: number;
  /** Of an objective of two terms. */
  readonly terms?: TermSums;
  /** Of the whole gradient, before clipping. */
  readonly norm: number;
}

/** What all steps of a run have in common. */
export interface StepCommon {
  readonly loss: StepForm["loss"];
  readonly accumulate: number;
  readonly optimizer: OptimizerRule;
  /** As the papers' FLOP convention wants it. */
  readonly shape: Pick<StepShape, "sequences" | "length" | "predicted" | "nsp">;
}

/** The programs of a step of a sub-model, and what they cost. */
export function builtStep(model: Model, sub: SubModel, head: boolean, common: StepCommon): BuiltStep {
  const { loss, accumulate, optimizer, shape } = common;
  const form: StepForm = { loss, accumulate, model: sub, head };
  const programs = buildStep(model, form, optimizer);
  return {
    programs,
    flops: { exact: programs.flops, paper: paperFlops(model, { ...shape, ...trainedOf(form) }).total },
  };
}

export type CompiledSteps = ReturnType<typeof compiledSteps>;

export function compiledSteps(engine: Engine, model: Model, common: StepCommon) {
  const steps = new Map<string, CompiledStep>();

  async function get(sub: SubModel, head: boolean): Promise<CompiledStep> {
    const key = formKey({ model: sub, head });
    const known = steps.get(key);
    if (known !== undefined) return known;
    const built = builtStep(model, sub, head, common);
    const { programs } = built;
    if (programs.apply !== undefined) await addAccumulators(engine, programs.trained);
    const step: CompiledStep = {
      ...built,
      batch: await engine.compile(programs.batch),
      apply: programs.apply === undefined ? undefined : await engine.compile(programs.apply),
    };
    steps.set(key, step);
    return step;
  }

  /** Lets all programs go but those of these sub-models. */
  async function keepOnly(models: readonly SubModel[], head: boolean): Promise<void> {
    const wanted = new Set(models.map((sub) => formKey({ model: sub, head })));
    for (const [key, step] of [...steps]) {
      if (wanted.has(key)) continue;
      steps.delete(key);
      await step.batch.release();
      await step.apply?.release();
    }
  }

  return { get, keepOnly };
}

export type Runs = ReturnType<typeof runsUpTo>;

/** Runs under way on an engine: no more at once than are worth having, lest what they were given pile up. */
export function runsUpTo(most: number) {
  const under: Promise<void>[] = [];

  /** Waits until another may begin. */
  async function room(): Promise<void> {
    while (under.length >= most) await under[0];
  }

  function add<T>(run: Promise<T>): Promise<T> {
    const over = run.then(
      () => {},
      () => {},
    );
    under.push(over);
    over.then(() => under.splice(under.indexOf(over), 1));
    return run;
  }

  return { room, add };
}

/** A step whose runs are all asked for. */
export interface StepUnderWay {
  /** Rejects as the first run of it that failed did; that need not be heard. */
  readonly result: Promise<StepResult>;
}

/**
 * Begins a step.
 * @param inputs of each micro-batch, asked for while the one before runs
 */
export async function beginStep(
  step: CompiledStep,
  accumulate: number,
  inputs: (micro: number) => Record<string, TensorData>,
  rate: number,
  runs: Runs,
): Promise<StepUnderWay> {
  const given = { rate: Float32Array.of(rate) };
  const under: Promise<Record<string, TensorData>>[] = [];
  for (let micro = 0; micro < accumulate; micro++) {
    const next = inputs(micro);
    await runs.room();
    under.push(runs.add(step.batch.run(step.apply === undefined ? { ...next, ...given } : next)));
  }
  if (step.apply !== undefined) under.push(runs.add(step.apply.run(given)));
  const result = Promise.all(under).then(added);
  result.catch(() => {});
  return { result };
}

/** Runs a step on an engine where nothing else is under way. */
export async function runStep(
  step: CompiledStep,
  accumulate: number,
  inputs: (micro: number) => Record<string, TensorData>,
  rate: number,
): Promise<StepResult> {
  return (await beginStep(step, accumulate, inputs, rate, runsUpTo(1))).result;
}

function added(results: readonly Record<string, TensorData>[]): StepResult {
  let loss = 0;
  let terms: TermSums | undefined;
  for (const { loss: one, lm, nsp, nsp_correct: correct } of results) {
    loss += one?.[0] ?? 0;
    if (nsp !== undefined) terms = addTerms(terms, { lm: lm[0], nsp: nsp[0], nsp_correct: correct[0] });
  }
  return { loss, terms, norm: results[results.length - 1].norm[0] };
}
