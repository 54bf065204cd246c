/** One seed of a fine-tuning: its epochs, each scored, and where it stands on disk. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeJson } from "../../checkpoint/folder.ts";
import { optimizerFile, trainerFile } from "../../checkpoint/optimizer.ts";
import { openWeights } from "../../checkpoint/weights.ts";
import { writeWeights } from "../../checkpoint/write.ts";
import type { Engine } from "../../engine/engine.ts";
import type { HeadedModel } from "../../model/task-head.ts";
import { checkFiles } from "../../store/checksums.ts";
import { removeWhole, writeFileWhole } from "../../store/files.ts";
import { factorAt } from "../../train/plan/schedule.ts";
import { type Companions, writeModel } from "../../train/run/checkpoint.ts";
import { dropoutKey } from "../../train/step/inputs.ts";
import { loadState, momentTensors } from "../../train/step/state.ts";
import { Interrupted, UserError } from "../../util/errors.ts";
import { readJsonObject } from "../../util/json.ts";
import type { Programs } from "../forward.ts";
import { batchOf, type Encoded, orderOf } from "./examples.ts";
import type { Part, TaskData } from "./kind.ts";
import { predictingProgram, trainingProgram } from "./programs.ts";
import type { TaskSettings } from "./settings.ts";

/** What is predicted of the validation part, and of the test part. */
export const predictionFiles = ["predictions.jsonl", "test-predictions.jsonl"] as const;

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
  readonly programs: Programs;
  readonly data: TaskData;
  /** What goes into its folders beside the weights. */
  readonly companions: Companions;
  /** Called before anything is written: what leaves nothing can be corrected and given again. */
  begin(): Promise<void>;
}

const score = z.number().nullable();
const scores = z.record(z.string(), score);
const standSchema = z.object({ step: z.number(), best: z.number(), scores: z.array(scores) });

/** Steps done, and what each epoch scored, by metric, and the best one's index; null: not a number. */
type Stand = z.infer<typeof standSchema>;

export const seedSchema = z.object({
  seed: z.number(),
  score,
  /** From 1. */
  epoch: z.number(),
  /** Every metric of the task, at that epoch. */
  metrics: scores,
  /** Likewise of the test part, where its labels are known. */
  test: scores.optional(),
});

export type SeedResult = z.infer<typeof seedSchema>;

/** @throws Interrupted after saving @throws UserError if the loss is no number */
export async function trainSeed(run: SeedRun, options: FinetuneOptions): Promise<SeedResult> {
  const { settings, seed, place, headed, engine, data, companions } = run;
  const { batch, epochs, optimizer, schedule, metric, patience, kind, task } = settings;
  const perEpoch = Math.ceil(data.train.length / batch);
  const steps = perEpoch * epochs;
  let stand = await loadStand(run);
  let saved = stand.step;
  const write = async (name: string, fill?: (temporary: string) => Promise<void>) => {
    await run.begin();
    const card = {
      title: `A ${headed.model.architecture.type} fine-tuned for ${task}`,
      ...{ pipeline: kind.pipeline, text: ["Fine-tuned with bert2bert."] },
      facts: [[`validation ${metric}`, String(stand.scores.at(stand.best)?.[metric])]] as const,
    };
    await writeModel(join(place, name), engine, headed.model, companions, card, fill);
  };
  const save = async () => {
    await write("last", async (temporary) => {
      await writeWeights(temporary, momentTensors(engine, headed.model), { fileName: optimizerFile });
      await writeJson(join(temporary, trainerFile), stand);
    });
    saved = stand.step;
  };
  const stopIfAsked = async (where: string, isSaved: boolean) => {
    const signal = options.stopped?.(stand.step, saved);
    if (signal === undefined) return;
    if (!isSaved) await save();
    throw new Interrupted(signal, `stopped after ${where} of seed ${seed}; the same command carries on`);
  };
  const isStuck = () => patience !== undefined && stand.scores.length - 1 - stand.best >= patience;
  while (stand.step < steps && !isStuck()) {
    const epoch = Math.floor(stand.step / perEpoch);
    const order = orderOf(data.train.length, seed, epoch);
    for (let i = stand.step - epoch * perEpoch; i < perEpoch; i++) {
      const some = Array.from(order.subarray(i * batch, (i + 1) * batch), (n) => data.train[n]);
      const { form, inputs } = batchOf(headed, some, batch, kind.loss);
      const build = () => trainingProgram(headed, form, optimizer);
      const program = await run.programs.get(`train/${form.length}`, build);
      const rate = Float32Array.of(optimizer.lr * factorAt(schedule, stand.step, steps));
      const { loss, norm } = await program.run({ ...inputs, rate, key: dropoutKey(seed, stand.step, 0, 1) });
      if (!Number.isFinite(loss[0]) || !Number.isFinite(norm[0])) {
        const what = `step ${stand.step + 1} of seed ${seed} gave a loss that is not a number`;
        throw new UserError(what, settings.out, "lower optimizer.lr, or give schedule.warmup");
      }
      stand = { ...stand, step: stand.step + 1 };
      options.progress?.({ seed, step: stand.step, steps, loss: loss[0] });
      if (i < perEpoch - 1) await stopIfAsked(`step ${stand.step}`, false);
    }
    const { lines, scores: now = {} } = await judged(run, data.validation);
    const before = stand.scores.at(stand.best)?.[metric] ?? Number.NEGATIVE_INFINITY;
    const better = stand.scores.length === 0 || (now[metric] ?? Number.NEGATIVE_INFINITY) > before;
    stand = { ...stand, scores: [...stand.scores, now], best: better ? stand.scores.length : stand.best };
    options.note?.(`seed ${seed}, epoch ${epoch + 1}: ${metric} ${(now[metric] ?? Number.NaN).toFixed(4)}`);
    if (better) {
      await write("best");
      await writeFileWhole(join(place, predictionFiles[0]), lines);
    }
    await save();
    await stopIfAsked(`epoch ${epoch + 1}`, true);
  }
  const { [stand.best]: best } = stand.scores;
  return { seed, score: best[metric], epoch: stand.best + 1, metrics: best, test: await tested(run) };
}

/** The best epoch's model on the test part. */
async function tested(run: SeedRun): Promise<SeedResult["test"]> {
  const { data, place } = run;
  if (data.test === undefined) return undefined;
  await load(run, join(place, "best"));
  const { lines, scores } = await judged(run, data.test);
  await writeFileWhole(join(place, predictionFiles[1]), lines);
  return scores;
}

/** A line for each row, and what they score: null where that is not a number. */
async function judged(run: SeedRun, { examples, judge }: Part) {
  const { items, scores } = judge(await predictions(run, examples));
  const finite = (value: number) => (Number.isFinite(value) ? value : null);
  return {
    lines: items.map((item) => `${JSON.stringify(item)}\n`).join(""),
    scores: scores && Object.fromEntries(Object.entries(scores).map(([name, value]) => [name, finite(value)])),
  };
}

/** Weights into the engine, and moments where that folder has them. */
async function load({ engine, headed }: SeedRun, folder: string, moments?: string): Promise<void> {
  await engine.drop(engine.names());
  const weights = await openWeights(folder);
  try {
    await loadState(engine, headed.model, weights, folder, moments);
  } finally {
    await weights.close();
  }
}

/** Weights and moments into the engine: those of the folder where it has come so far already, else the beginning's. */
async function loadStand(run: SeedRun): Promise<Stand> {
  const { headed, engine, settings, place } = run;
  const last = join(place, "last");
  if (!existsSync(last)) {
    await engine.drop(engine.names());
    await loadState(engine, headed.model, headed, settings.model.from, undefined);
    return { step: 0, scores: [], best: 0 };
  }
  if (!(await checkFiles(last))) {
    await removeWhole(last);
    throw new UserError("was not whole and is removed", last, "start again: the seed is done anew");
  }
  await load(run, last, last);
  return standSchema.parse(await readJsonObject(join(last, trainerFile)));
}

/** The logits of each example. Those of like lengths go together: little is padded. */
async function predictions(
  { settings, headed, programs }: SeedRun,
  examples: readonly Encoded[],
): Promise<readonly Float32Array[]> {
  const { batch, kind } = settings;
  const found: Float32Array[] = [];
  const order = [...examples.keys()].sort((a, b) => examples[a].ids.length - examples[b].ids.length || a - b);
  for (let start = 0; start < order.length; start += batch) {
    const some = order.slice(start, start + batch);
    const own = some.map((i) => examples[i]);
    const { form, inputs } = batchOf(headed, own, batch, kind.loss);
    const program = await programs.get(`predict/${form.length}`, () => predictingProgram(headed, form));
    const logits = Float32Array.from((await program.run(inputs)).logits);
    const each = logits.length / batch;
    for (const [row, i] of some.entries()) found[i] = logits.subarray(row * each, (row + 1) * each);
  }
  return found;
}
