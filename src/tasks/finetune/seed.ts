/** One seed of a fine-tuning: its epochs, each scored, and where it stands on disk. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeJson } from "../../checkpoint/folder.ts";
import { optimizerFile, trainerFile } from "../../checkpoint/optimizer.ts";
import { openWeights } from "../../checkpoint/weights.ts";
import { writeWeights } from "../../checkpoint/write.ts";
import type { Engine, Executable } from "../../engine/engine.ts";
import type { HeadedModel } from "../../model/task-head.ts";
import { checkFiles } from "../../store/checksums.ts";
import { removeWhole } from "../../store/files.ts";
import { factorAt } from "../../train/plan/schedule.ts";
import { dropoutKey } from "../../train/step/inputs.ts";
import { loadState, momentTensors, weightTensors } from "../../train/step/state.ts";
import { Interrupted, UserError } from "../../util/errors.ts";
import { isJsonObject, type JsonValue, readJsonObject } from "../../util/json.ts";
import { batchOf, type Encoded, orderOf } from "./examples.ts";
import { metrics } from "./metrics.ts";
import { predictingProgram, type TaskForm, trainingProgram } from "./programs.ts";
import type { TaskSettings } from "./settings.ts";

export interface FinetuneOptions {
  readonly note?: (text: string) => void;
  readonly progress?: (done: {
    readonly seed: number;
    readonly step: number;
    readonly steps: number;
    readonly loss: number;
  }) => void;
  /** Asked after every step: a signal that came in ends it after saving. */
  readonly stopped?: (step: number, saved: number) => "SIGINT" | "SIGTERM" | undefined;
}

export interface SeedRun {
  readonly settings: TaskSettings;
  readonly seed: number;
  /** Its folder. */
  readonly place: string;
  readonly headed: HeadedModel;
  readonly engine: Engine;
  readonly train: readonly Encoded[];
  readonly validation: readonly Encoded[];
  /** Writes a folder of that name with config and tokenizer in it, whole. */
  write(name: string, fill: (temporary: string) => Promise<void>): Promise<void>;
  readonly options: FinetuneOptions;
}

/** What each epoch scored, by metric, and the best one's index. */
export interface History {
  readonly scores: readonly Readonly<Record<string, number>>[];
  readonly best: number;
}

interface Stand extends History {
  readonly step: number;
}

/** @throws Interrupted after saving @throws UserError if the loss is no number */
export async function trainSeed(run: SeedRun): Promise<History> {
  const { settings, seed, place, headed, engine, train, write, options } = run;
  const { batch, epochs, optimizer, schedule, metric, patience, task } = settings;
  const kind = task === "regression" ? "values" : "classes";
  const perEpoch = Math.ceil(train.length / batch);
  const steps = perEpoch * epochs;
  const last = join(place, "last");
  let stand = await begin(run, last);
  let saved = stand.step;
  const programs = new Programs(engine, headed, { batch, kind }, settings);
  const save = async () => {
    await write("last", async (temporary) => {
      await writeWeights(temporary, weightTensors(engine, headed.model));
      await writeWeights(temporary, momentTensors(engine, headed.model), { fileName: optimizerFile });
      const scores = stand.scores.map((one) => ({ ...one }));
      await writeJson(join(temporary, trainerFile), { step: stand.step, best: stand.best, scores });
    });
    saved = stand.step;
  };
  try {
    while (stand.step < steps && !isStuck(stand, patience)) {
      const epoch = Math.floor(stand.step / perEpoch);
      const order = orderOf(train.length, seed, epoch);
      for (let i = stand.step - epoch * perEpoch; i < perEpoch; i++) {
        const some = Array.from(order.subarray(i * batch, (i + 1) * batch), (n) => train[n]);
        const { length, inputs } = batchOf(headed.model, headed.head, some, batch, kind);
        const rate = optimizer.lr * factorAt(schedule, stand.step, steps);
        const key = dropoutKey(seed, stand.step, 0, 1);
        const program = await programs.get("train", length);
        const { loss, norm } = await program.run({ ...inputs, rate: Float32Array.of(rate), key });
        if (!Number.isFinite(loss[0]) || !Number.isFinite(norm[0])) {
          const what = `step ${stand.step + 1} of seed ${seed} gave a loss that is not a number`;
          throw new UserError(what, settings.out, "lower optimizer.lr, or give schedule.warmup");
        }
        stand = { ...stand, step: stand.step + 1 };
        options.progress?.({ seed, step: stand.step, steps, loss: loss[0] });
        const signal = options.stopped?.(stand.step, saved);
        if (signal !== undefined && i < perEpoch - 1) {
          await save();
          throw new Interrupted(
            signal,
            `stopped after step ${stand.step} of seed ${seed}; the same command carries on`,
          );
        }
      }
      const found = await score(run, programs);
      const [now, before] = [found[metric], stand.scores[stand.best]?.[metric]];
      const better = stand.scores.length === 0 || now > before || (Number.isNaN(before) && !Number.isNaN(now));
      stand = { ...stand, scores: [...stand.scores, found], best: better ? stand.scores.length : stand.best };
      options.note?.(`seed ${seed}, epoch ${epoch + 1}: ${metric} ${now.toFixed(4)}`);
      if (better) await write("best", async (to) => void (await writeWeights(to, weightTensors(engine, headed.model))));
      await save();
      const signal = options.stopped?.(stand.step, saved);
      if (signal !== undefined)
        throw new Interrupted(signal, `stopped after epoch ${epoch + 1} of seed ${seed}; the same command carries on`);
    }
  } finally {
    await programs.release();
  }
  return stand;
}

function isStuck({ scores, best }: History, patience: number | undefined): boolean {
  return patience !== undefined && scores.length - 1 - best >= patience;
}

/** Weights and moments into the engine: those of the folder where it has come so far already, else the beginning's. */
async function begin({ headed, engine, settings }: SeedRun, last: string): Promise<Stand> {
  await engine.drop(engine.names());
  if (!existsSync(last)) {
    await loadState(engine, headed.model, headed, settings.model.from, undefined);
    return { step: 0, scores: [], best: 0 };
  }
  if (!(await checkFiles(last))) {
    await removeWhole(last);
    throw new UserError("was not whole and is removed", last, "start again: the seed is done anew");
  }
  const weights = await openWeights(last);
  try {
    await loadState(engine, headed.model, weights, last, last);
  } finally {
    await weights.close();
  }
  const { step, scores, best } = await readJsonObject(join(last, trainerFile));
  return { step: Number(step), best: Number(best), scores: (Array.isArray(scores) ? scores : []).map(numbers) };
}

/** NaN is null in JSON. */
function numbers(value: JsonValue): Readonly<Record<string, number>> {
  const entries = Object.entries(isJsonObject(value) ? value : {});
  return Object.fromEntries(entries.map(([name, one]) => [name, one === null ? Number.NaN : Number(one)]));
}

async function score(run: SeedRun, programs: Programs): Promise<Readonly<Record<string, number>>> {
  const { settings, headed, validation } = run;
  const { batch, task } = settings;
  const kind = task === "regression" ? "values" : "classes";
  const found = new Array<number>(validation.length).fill(0);
  // Alike lengths together: little is padded.
  const order = validation
    .map((_, i) => i)
    .sort((a, b) => validation[a].ids.length - validation[b].ids.length || a - b);
  for (let start = 0; start < order.length; start += batch) {
    const some = order.slice(start, start + batch);
    const { length, inputs } = batchOf(
      headed.model,
      headed.head,
      some.map((i) => validation[i]),
      batch,
      kind,
    );
    const { logits } = await (await programs.get("predict", length)).run(inputs);
    const width = logits.length / batch;
    for (const [row, i] of some.entries()) {
      const own = Array.from(logits.subarray(row * width, (row + 1) * width));
      found[i] = kind === "values" ? own[0] : own.indexOf(Math.max(...own));
    }
  }
  const wanted = validation.map(({ label }) => label);
  return Object.fromEntries(Object.entries(metrics[task]).map(([name, of]) => [name, of(found, wanted)]));
}

/** The programs by what they do and their length. */
class Programs {
  readonly #made = new Map<string, Executable>();
  readonly #engine: Engine;
  readonly #headed: HeadedModel;
  readonly #form: Omit<TaskForm, "length">;
  readonly #settings: TaskSettings;

  constructor(engine: Engine, headed: HeadedModel, form: Omit<TaskForm, "length">, settings: TaskSettings) {
    [this.#engine, this.#headed, this.#form, this.#settings] = [engine, headed, form, settings];
  }

  async get(what: "train" | "predict", length: number): Promise<Executable> {
    const key = `${what}/${length}`;
    const form = { ...this.#form, length };
    const build = () =>
      what === "train"
        ? trainingProgram(this.#headed, form, this.#settings.optimizer)
        : predictingProgram(this.#headed, form);
    const made = this.#made.get(key) ?? (await this.#engine.compile(build()));
    this.#made.set(key, made);
    return made;
  }

  async release(): Promise<void> {
    for (const one of this.#made.values()) await one.release();
  }
}
