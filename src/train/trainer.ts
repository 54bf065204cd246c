/**
 * One session of a run: the loop over its steps. A step's stage says which sub-model runs, what trains and at which rate;
 * the loop knows nothing else of plans. After step N come its line in the metrics, then its evaluation, then its
 * checkpoint.
 */
import { join } from "node:path";
import type { Executable } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { openModel } from "../model/load.ts";
import { temporaryName } from "../store/temporary.ts";
import { keeping } from "../util/closing.ts";
import { type EnergyMeter, openEnergyMeter } from "../util/energy.ts";
import { Interrupted, UserError } from "../util/errors.ts";
import { diagnose, look } from "./diagnose.ts";
import { evaluationProgram, runEvaluation } from "./evaluate.ts";
import { growStage, growthPlace } from "./growth.ts";
import { rateAt } from "./plan/schedule.ts";
import { type Stage, type StageGrowth, type SubModel, stageAt, subModelAt, subModels } from "./plan/stage.ts";
import { type Companions, checkpointsFolder, type Position, writeState } from "./run/checkpoint.ts";
import { modelFolder } from "./run/folder.ts";
import { type Evaluated, isEvaluation, readMetrics } from "./run/metrics.ts";
import { advanced, beginning, trainingLine } from "./run/position.ts";
import { batchOf } from "./run/setup.ts";
import { Saving, type Session, writes } from "./saving.ts";
import {
  beginStep,
  type CompiledSteps,
  compiledSteps,
  type Runs,
  runsUpTo,
  type StepUnderWay,
} from "./step/compiled.ts";
import { feedOf } from "./step/inputs.ts";
import { loadState, NotFinite, readReal, resetOptimizer } from "./step/state.ts";
import type { FlopsSoFar } from "./step/terms.ts";
import { symmetryOf } from "./symmetry.ts";

const signals = ["SIGINT", "SIGTERM"] as const;
type Signal = (typeof signals)[number];

/** What a run tells while it goes. */
export interface RunProgress {
  readonly step: number;
  readonly steps: number;
  readonly stage: string;
  /** Of the last step. */
  readonly loss: number | undefined;
  readonly tokensPerSecond: number | undefined;
  readonly secondsLeft: number | undefined;
}

export interface PretrainOptions {
  /** Called after every step. */
  readonly progress?: (progress: RunProgress) => void;
  /** One sentence for a person. */
  readonly note?: (text: string) => void;
  /** Asked after every step, and told how far the run is and is saved: a signal that came in ends it after a checkpoint. */
  readonly stopped?: (step: number, saved: number) => Signal | undefined;
}

export interface RunResult {
  /** The run folder. */
  readonly folder: string;
  /** The model folder in it. */
  readonly model: string;
  readonly steps: number;
  readonly tokens: number;
  readonly evaluation: Evaluated | undefined;
}

/** A run whose loss or gradient stopped being a number: the settings' doing, not the input's. */
export class Diverged extends UserError {}

/** One session of a run. */
export class Trainer {
  readonly #run: Session;
  readonly #options: PretrainOptions;
  #model: Model;
  #companions: Companions;
  readonly #saving: Saving;
  #steps: CompiledSteps;
  #evaluation: Executable | undefined;
  readonly #energy: EnergyMeter | undefined = openEnergyMeter();
  readonly #ahead: number;
  readonly #runs: Runs;
  readonly #feed = feedOf((step, micro) => batchOf(this.#run, step, micro));
  /** When the last step ended. */
  #ended = 0;
  #signal: Signal | undefined;
  #position: Position;

  constructor(run: Session, options: PretrainOptions) {
    const { start, position, engine, plan } = run;
    this.#run = run;
    this.#options = options;
    this.#model = start.model;
    this.#companions = start.companions;
    this.#position = position;
    this.#saving = new Saving(run);
    this.#steps = compiledSteps(engine, start.model, plan.common);
    this.#ahead = engine.ahead ?? 1;
    this.#runs = runsUpTo(this.#ahead);
  }

  async run(): Promise<RunResult> {
    try {
      return await this.#loop();
    } catch (error) {
      if (!(error instanceof NotFinite)) throw error;
      throw this.#diverged(`${error.message} after step ${this.#saving.begun} and was not saved`);
    } finally {
      await this.#saving.end();
    }
  }

  async #loop(): Promise<RunResult> {
    const { steps, stages } = this.#run.plan;
    await this.#evaluateIfDue();
    await this.#saveIfTime();
    // Steps under way, the oldest first. None is begun over one after which there is something else to do.
    const under: Under[] = [];
    let next = this.#run.position.step;
    while (this.#position.step < steps) {
      while (next < steps && (under.length === 0 || (under.length < this.#ahead && !this.#isPause(next)))) {
        const stage = stageAt(stages, next);
        if (next === stage.start) await this.#enter(stage);
        if (under.length === 0) this.#energy?.spent();
        under.push(await this.#begin(next++));
      }
      if (next < steps) this.#feed.prepare(next);
      const [oldest] = under.splice(0, 1);
      await this.#settle(oldest);
      if (under.length > 0) continue;
      await this.#evaluateIfDue();
      await this.#saveIfTime();
    }
    await this.#saving.finish(this.#model, this.#companions, this.#position.tokens);
    const last = (await readMetrics(this.#run.metrics.path)).filter(isEvaluation).at(-1);
    const { out } = this.#run.settings;
    const { tokens } = this.#position;
    return { folder: out, model: join(out, modelFolder), steps, tokens, evaluation: last?.evaluation };
  }

  /** What a stage asks for at its first step. */
  async #enter(stage: Stage): Promise<void> {
    if (stage.grow !== undefined) await this.#grow(stage, stage.grow);
    if (stage.optimizer === "reset" && stage.start > 0) await resetOptimizer(this.#run.engine, this.#model);
    await this.#steps.keepOnly(subModels(stage, this.#model.dimensions.layers), stage.head);
  }

  /** Grows the model and measures it: how its loss changed is part of the run. */
  async #grow(stage: Stage, growth: StageGrowth): Promise<void> {
    const { out, seed } = this.#run.settings;
    const { step } = this.#position;
    await this.#saving.settled();
    if (!this.#isEvaluated(step)) await this.#measure(stageAt(this.#run.plan.stages, Math.max(0, step - 1)).name);
    await this.#steps.keepOnly([], false);
    await this.#evaluation?.release();
    this.#evaluation = undefined;
    const place = join(out, growthPlace);
    const record = await growStage(
      writes(this.#run.engine) ? place : temporaryName(place, "part"),
      growth,
      seed,
      (folder) => writeState(folder, this.#run.engine, this.#model, this.#companions, step),
      async (folder, moments) => {
        await using keep = keeping();
        const grown = keep(await openModel(folder, { compareCopies: false }));
        await this.#run.engine.drop(this.#run.engine.names());
        await loadState(this.#run.engine, grown.model, grown.weights, folder, moments ? folder : undefined);
        this.#model = grown.model;
      },
    );
    this.#companions = { ...this.#companions, growth: record };
    this.#steps = compiledSteps(this.#run.engine, this.#model, this.#run.plan.common);
    await this.#measure(stage.name);
  }

  /** Whether the steps before this one must have ended, and what follows them be done, before it begins. */
  #isPause(step: number): boolean {
    const entered = stageAt(this.#run.plan.stages, step).start === step;
    return entered || this.#isEvaluated(step) || this.#isSaved(step) || this.#stopped() !== undefined;
  }

  async #begin(step: number): Promise<Under> {
    const { stage, sub, rate } = this.#planned(step);
    const compiled = await this.#steps.get(sub, stage.head);
    const inputs = (micro: number) => this.#feed.get(step, micro);
    const began = performance.now();
    const { result } = await beginStep(compiled, this.#run.settings.batch.accumulate, inputs, rate, this.#runs);
    const agreed = this.#agreed();
    agreed.catch(() => {});
    return { step, flops: compiled.flops, began, result, agreed };
  }

  #planned(step: number): { readonly stage: Stage; readonly sub: SubModel; readonly rate: number } {
    const { optimizer, schedule, seed } = this.#run.settings;
    const stage = stageAt(this.#run.plan.stages, step);
    const sub = subModelAt(stage, this.#model.dimensions.layers, seed, step);
    return { stage, sub, rate: rateAt(optimizer.lr, schedule, this.#run.plan.stages, stage, step) };
  }

  /** Waits for a step and writes down what it gave. Its time is that since the one before it ended. */
  async #settle({ step, flops, began, result: running, agreed }: Under): Promise<void> {
    const { stage, sub, rate } = this.#planned(step);
    const result = await running;
    this.#signal ??= await agreed;
    this.#saving.check();
    const now = performance.now();
    const seconds = (now - Math.max(began, this.#ended)) / 1000;
    this.#ended = now;
    if (!Number.isFinite(result.loss) || !Number.isFinite(result.norm)) {
      const what = Number.isFinite(result.loss) ? "a gradient" : "a loss";
      throw this.#diverged(`step ${step + 1} gave ${what} that is not a number (${await this.#diagnose(step)})`);
    }

    const cost = { tokens: this.#run.plan.size.tokensPerStep, flops, seconds, joules: this.#energy?.spent() };
    const position = advanced(this.#position, result, cost);
    this.#position = { ...position, due: this.#isEvaluated(step + 1) };
    // A stage's last step has its line, so that what each stage cost is there to be read.
    if (position.step % this.#run.settings.log.every === 0 || position.step === stage.end) {
      const { sequences, accumulate } = this.#run.settings.batch;
      const last = { rate, norm: result.norm, sequences: sequences * accumulate };
      await this.#run.metrics.add(trainingLine(position, stage, sub, last));
      this.#position = { ...this.#position, open: beginning.open };
    }
    this.#tell(stage, result.loss, position);
  }

  #tell(stage: Stage, loss: number, { step, tokens, seconds }: Position): void {
    const { steps, size } = this.#run.plan;
    const tokensPerSecond = seconds > 0 ? tokens / seconds : undefined;
    const secondsLeft = tokensPerSecond && ((steps - step) * size.tokensPerStep) / tokensPerSecond;
    this.#options.progress?.({ step, steps, stage: stage.name, loss, tokensPerSecond, secondsLeft });
  }

  #isEvaluated(step: number): boolean {
    return this.#isDue(this.#run.settings.evaluate, step);
  }

  #isSaved(step: number): boolean {
    return (
      (this.#run.settings.checkpoint.at?.includes(step) ?? false) || this.#isDue(this.#run.settings.checkpoint, step)
    );
  }

  #isDue({ every }: { readonly every: number }, step: number): boolean {
    return step === this.#run.plan.steps || (every > 0 && step % every === 0);
  }

  /** Once a signal came in, it stays; of several processes, once all know of it. */
  #stopped(): Signal | undefined {
    const heard = this.#heard();
    if (this.#run.engine.processes === undefined) this.#signal ??= heard;
    return this.#signal;
  }

  /** Asked each time, for it also hears where the run stands. */
  #heard(): Signal | undefined {
    return this.#options.stopped?.(this.#position.step, Math.max(0, this.#saving.saved));
  }

  /** What signal one of several processes had when this was asked. */
  async #agreed(): Promise<Signal | undefined> {
    const heard = this.#heard();
    const said = await this.#run.engine.processes?.agree([heard === undefined ? 0 : 1 + signals.indexOf(heard)]);
    return said === undefined || said[0] === 0 ? undefined : signals[said[0] - 1];
  }

  async #evaluateIfDue(): Promise<void> {
    if (!this.#position.due) return;
    const { step } = this.#position;
    if (this.#isEvaluated(step)) {
      const stage = stageAt(this.#run.plan.stages, Math.max(0, step - 1)).name;
      const stopped = () => this.#stopped() !== undefined;
      // Stopped in the middle: the checkpoint says that it is still to be done.
      if (!(await this.#measure(stage, stopped))) return;
    }
    this.#position = { ...this.#position, due: false };
  }

  /** Evaluates and writes it down. @returns whether it was done */
  async #measure(stage: string, stopped: () => boolean = () => false): Promise<boolean> {
    if (this.#run.plan.size.validationSequences === 0) return true;
    const { evaluation: form } = this.#run.plan;
    const { step, tokens, flops, seconds } = this.#position;
    this.#evaluation ??= await this.#run.engine.compile(evaluationProgram(this.#model, form));
    const evaluation = await runEvaluation(this.#evaluation, this.#run.dataset, form, stopped);
    if (evaluation === undefined) return false;
    if (!Number.isFinite(evaluation.loss)) {
      const { broken, largest } = await look(this.#run.engine, this.#model);
      const why = broken === undefined ? `the largest weight is in ${largest.name}` : `${broken} holds NaN or infinity`;
      throw this.#diverged(`the validation loss after step ${step} is not a number (${why})`);
    }
    const symmetry = await symmetryOf(
      this.#model,
      this.#companions.growth,
    )?.((name) => readReal(this.#run.engine, name));
    await this.#run.metrics.add({
      step,
      stage,
      tokens,
      flops,
      seconds: Number(seconds.toFixed(3)),
      evaluation,
      symmetry,
    });
    this.#options.note?.(`step ${step}: validation loss ${evaluation.loss.toFixed(4)}`);
    return true;
  }

  /** Saves where a checkpoint is due, or a signal came in; then the run ends here. */
  async #saveIfTime(): Promise<void> {
    const { step } = this.#position;
    const signal = this.#stopped();
    const regular = step > 0 && !this.#position.due && this.#isSaved(step);
    if ((regular || signal !== undefined) && this.#saving.begun !== step) await this.#save();
    if (signal !== undefined) {
      await this.#saving.settled();
      const { out } = this.#run.settings;
      throw new Interrupted(signal, `stopped after step ${step}, saved in ${out}; the same command carries on`);
    }
  }

  async #save(): Promise<void> {
    this.#position = { ...this.#position, metrics: this.#run.metrics.lines };
    await this.#saving.checkpoint(this.#model, this.#companions, this.#position);
    this.#stopped();
  }

  #diverged(what: string): Diverged {
    const step = this.#saving.saved;
    const saved = step > 0 ? `the checkpoint of step ${step} is good` : "no checkpoint had been written";
    const wayOut = "start again with a lower optimizer.lr or a longer warm-up";
    return new Diverged(`${what}; ${saved}`, this.#run.settings.out, wayOut);
  }

  /** Which parameter made a step fail. Repeats the steps since the last good state, unless they are too many. */
  async #diagnose(step: number): Promise<string> {
    await this.#saving.end();
    const from = Math.max(this.#run.position.step, this.#saving.saved);
    const { stages } = this.#run.plan;
    const grown = stages.some((stage) => stage.grow !== undefined && stage.start >= from && stage.start <= step);
    if (grown || step - from > MOST_REPEATED) return "which parameter it was is not known";
    this.#options.note?.(`step ${step + 1} failed: repeating ${step - from} steps to see why`);
    const folder = join(this.#run.settings.out, checkpointsFolder, `step-${from}`);
    await using keep = keeping();
    const later = from > this.#run.position.step;
    const opened = keep(later ? await openModel(folder, { compareCopies: false }) : undefined);
    const { parameters, where, moments } = this.#run.start;
    if (opened === undefined) await loadState(this.#run.engine, this.#model, parameters, where, moments);
    else await loadState(this.#run.engine, this.#model, opened.weights, folder, folder);
    const inputs = (at: number, micro: number) => this.#feed.get(at, micro);
    const [engine, model, plan, settings] = [this.#run.engine, this.#model, this.#run.plan, this.#run.settings];
    return await diagnose({ engine, model, plan, settings, from, step, inputs });
  }
}

/** Steps that are repeated at most to find a cause. */
const MOST_REPEATED = 1000;

/** A step under way. */
interface Under extends StepUnderWay {
  readonly step: number;
  readonly flops: FlopsSoFar;
  readonly began: number;
  readonly agreed: Promise<Signal | undefined>;
}
