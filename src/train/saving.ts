/**
 * What a run leaves behind: its checkpoints, at its end the model and the report. A checkpoint is written while the run
 * goes on, from copies of what the engine holds, where that makes some. Of several processes the first writes; the
 * others take part in what only all together can read.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Dataset } from "../data/prepared/dataset.ts";
import type { Engine, Snapshot } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { keeping } from "../util/closing.ts";
import { cardOf, writeRunReport } from "./report.ts";
import { type Companions, type Position, type RunFacts, writeCheckpoint, writeModel } from "./run/checkpoint.ts";
import { modelFolder } from "./run/folder.ts";
import type { Metrics } from "./run/metrics.ts";
import type { RunSettings } from "./run/settings.ts";
import type { RunPlan, Start } from "./run/setup.ts";
import { type StateReader, stateNames } from "./step/state.ts";

/** What one session of a run is made of. */
export interface Session {
  readonly settings: RunSettings;
  /** run.yaml as resolved. */
  readonly text: string;
  readonly plan: RunPlan;
  readonly dataset: Dataset;
  readonly engine: Engine;
  readonly start: Start;
  /** Where the run stands, with what `start` holds: at a checkpoint that is whole, unless something is due there. */
  readonly position: Position;
  readonly metrics: Metrics;
  readonly facts: RunFacts;
}

/** Whether what is to be kept is written by this process. */
export function writes({ processes }: Engine): boolean {
  return processes === undefined || processes.index === 0;
}

export class Saving {
  readonly #run: Session;
  readonly #writes: boolean;
  #writing: Promise<void> | undefined;
  #failed: { readonly error: unknown } | undefined;
  /** Of the checkpoint that was begun last, and of the last that is whole; −1: none. */
  begun: number;
  saved: number;

  constructor(run: Session) {
    const { step, due } = run.position;
    this.#run = run;
    this.#writes = writes(run.engine);
    this.begun = due ? -1 : step;
    this.saved = this.begun;
  }

  /** Begins a checkpoint once the one before is whole. */
  async checkpoint(model: Model, companions: Companions, position: Position): Promise<void> {
    await this.settled();
    const { settings, metrics, engine, facts } = this.#run;
    await metrics.sync();
    this.begun = position.step;
    const copies = await engine.snapshot?.(stateNames(model));
    const write = (from: StateReader) =>
      writeCheckpoint(settings.out, settings.checkpoint, from, model, companions, position, facts);
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
    const { plan, settings, engine, metrics } = this.#run;
    const folder = join(settings.out, modelFolder);
    const there = this.#writes && existsSync(folder) ? 1 : 0;
    const [done] = (await engine.processes?.agree([there])) ?? [there];
    if (done === 0) {
      const copies = await engine.snapshot?.(model.parameters.map(({ name }) => name));
      const card = await cardOf(metrics.path, model, plan, tokens);
      await this.#from(copies, (from) => writeModel(folder, from, model, companions, card));
    }
    if (this.#writes) await writeRunReport(this.#run, model);
    // Nobody leaves before all is written.
    await engine.processes?.agree([0]);
  }

  async #from(copies: Snapshot | undefined, write: (from: StateReader) => Promise<unknown>): Promise<void> {
    await using keep = keeping();
    keep(copies);
    if (this.#writes) await write(copies ?? this.#run.engine);
  }
}
