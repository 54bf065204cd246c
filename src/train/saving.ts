/**
 * What a run leaves behind: its checkpoints, at its end the model and the report. A checkpoint is written while the run
 * goes on, from copies of what the engine holds, where that makes some. Of several processes the first writes; the
 * others take part in what only all together can read.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Engine, Snapshot } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { cardOf, type ReportedRun, writeRunReport } from "./report.ts";
import { type Companions, type Position, type RunFacts, writeCheckpoint, writeModel } from "./run/checkpoint.ts";
import { modelFolder } from "./run/folder.ts";
import type { Metrics } from "./run/metrics.ts";
import type { RunPlan } from "./run/setup.ts";
import { type StateReader, stateNames } from "./step/state.ts";

interface Saved extends Omit<ReportedRun, "model" | "engines"> {
  readonly plan: RunPlan;
}

/** Whether what is to be kept is written by this process. */
export function writes({ processes }: Engine): boolean {
  return processes === undefined || processes.index === 0;
}

export class Saving {
  readonly #engine: Engine;
  readonly #run: Saved;
  readonly #metrics: Metrics;
  readonly #facts: RunFacts;
  readonly #writes: boolean;
  #writing: Promise<void> | undefined;
  #failed: { readonly error: unknown } | undefined;
  /** Of the checkpoint that was begun last, and of the last that is whole; −1: none. */
  begun: number;
  saved: number;

  /** @param saved the step of the checkpoint that the run goes on from */
  constructor(engine: Engine, run: Saved, metrics: Metrics, facts: RunFacts, saved: number) {
    this.#engine = engine;
    this.#run = run;
    this.#metrics = metrics;
    this.#facts = facts;
    this.#writes = writes(engine);
    this.begun = saved;
    this.saved = saved;
  }

  /** Begins a checkpoint once the one before is whole. */
  async checkpoint(model: Model, companions: Companions, position: Position): Promise<void> {
    await this.settled();
    await this.#metrics.sync();
    this.begun = position.step;
    const { out, checkpoint } = this.#run.settings;
    const copies = await this.#engine.snapshot?.(stateNames(model));
    const write = (from: StateReader) =>
      writeCheckpoint(out, checkpoint, from, model, companions, position, this.#facts);
    const writing = this.#from(copies, write).then(() => {
      this.saved = position.step;
    });
    this.#writing = writing;
    writing.catch((error: unknown) => {
      this.#failed = { error };
    });
    if (copies === undefined) await this.settled();
  }

  /** Waits until nothing is being written. @throws what made that fail */
  async settled(): Promise<void> {
    await this.#writing;
    this.#writing = undefined;
  }

  /** @throws what made the writing under way fail: what can't be saved need not go on */
  check(): void {
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  /** Waits until nothing is being written, however that ends. */
  async end(): Promise<void> {
    await this.#writing?.catch(() => {});
  }

  /** The model and the report. */
  async finish(model: Model, companions: Companions, tokens: number): Promise<void> {
    await this.settled();
    const { plan, settings } = this.#run;
    const folder = join(settings.out, modelFolder);
    const there = this.#writes && existsSync(folder) ? 1 : 0;
    const [done] = (await this.#engine.processes?.agree([there])) ?? [there];
    if (done === 0) {
      const copies = await this.#engine.snapshot?.(model.parameters.map(({ name }) => name));
      const card = await cardOf(this.#metrics.path, model, plan, tokens);
      await this.#from(copies, (from) => writeModel(folder, from, model, companions, card));
    }
    if (this.#writes) await writeRunReport({ ...this.#run, model, engines: this.#facts.engines });
    // Nobody leaves before all is written.
    await this.#engine.processes?.agree([0]);
  }

  async #from(copies: Snapshot | undefined, write: (from: StateReader) => Promise<unknown>): Promise<void> {
    try {
      if (this.#writes) await write(copies ?? this.#engine);
    } finally {
      await copies?.release();
    }
  }
}
