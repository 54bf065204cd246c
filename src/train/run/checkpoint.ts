/**
 * Checkpoints of a run: `checkpoints/step-N/`, each a complete model folder with the optimizer's state and
 * `trainer.json`, which holds where the run stands. Written whole or not at all; the newest few are kept.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { type Descent, descentOf, type ModelCard, writeModelCard } from "../../checkpoint/card.ts";
import {
  generationConfigFile,
  growthFile,
  presentOf,
  tokenizerConfigFile,
  tokenizerFiles,
  withLimit,
  writeConfig,
  writeJson,
} from "../../checkpoint/folder.ts";
import { openOptimizer, optimizerFile, trainerFile } from "../../checkpoint/optimizer.ts";
import { writeWeights } from "../../checkpoint/write.ts";
import { describeTokenizer, withClass } from "../../data/tokenizer/folder.ts";
import type { Model } from "../../model/architecture.ts";
import { type OpenModel, openModel } from "../../model/load.ts";
import { pipelineOf } from "../../model/objectives.ts";
import { checkFiles, checksumsFile } from "../../store/checksums.ts";
import { removeWhole, writeFolderWhole } from "../../store/files.ts";
import { fillFile } from "../../store/output.ts";
import { clearFolder } from "../../store/temporary.ts";
import { UserError } from "../../util/errors.ts";
import { type Json, readJsonObject } from "../../util/json.ts";
import { packageVersion } from "../../util/paths.ts";
import { ifThere } from "../../util/system.ts";
import { momentTensors, type StateReader, weightTensors } from "../step/state.ts";

export const checkpointsFolder = "checkpoints";

const amount = z.number().min(0);

/** trainer.json; what else stands in it is for a person. */
const trainerSchema = z.object({
  /** Steps done. */
  step: amount,
  tokens: amount,
  flops: z.object({ exact: amount, paper: amount }),
  /** Spent training, evaluations and checkpoints left out. */
  seconds: amount,
  /** Likewise; absent where the machine does not tell. */
  joules: amount.optional(),
  /** Lines of metrics.jsonl that belong to the steps done. */
  metrics: amount,
  /** Whether the evaluation after this step is still to be done. */
  due: z.boolean().catch(false),
  /** The log interval that is open: steps since the last training line and the sums of their losses. */
  open: z.object({
    steps: amount,
    loss: amount,
    terms: z.object({ lm: amount, nsp: amount, nsp_correct: amount }).optional(),
    tokens: amount,
    seconds: amount,
  }),
  run: z
    .object({
      /** Blocks of the model that the run started with: its plan was made for them. */
      layers: amount,
      /** What the data is known by. */
      data: z.string(),
      engine: z.string(),
      /** Every engine that it has run on, in order, this one last; a checkpoint of before they were kept knows that alone. */
      engines: z.array(z.string()).optional(),
      /** What the model is known by that it began with; empty in checkpoints of before this was kept. */
      model: z.string().default(""),
    })
    .transform(({ engines, ...run }) => ({ ...run, engines: engines ?? [run.engine] })),
});

/** Where a run stands after a step. With the weights, the moments and the settings it says all that comes after. */
export type Position = Readonly<Omit<z.infer<typeof trainerSchema>, "run">>;

/** What a checkpoint says beside the position. */
export type RunFacts = Readonly<z.infer<typeof trainerSchema>["run"]>;

/**
 * What goes into every model folder of a run beside weights and config. Held in memory: the folder it was read from may
 * be one of the run's own checkpoints, which go in their turn.
 */
export interface Companions {
  /** Tokenizer files and generation_config.json, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** How the model was grown, if it was. */
  readonly growth: Json | undefined;
  /** What the model is made from, for its card. */
  readonly descent?: Descent;
}

/**
 * @param tokenizer a folder with tokenizer files @param model a model folder, if there is one
 * @param positions the longest text that the model takes
 */
export async function readCompanions(
  tokenizer: string,
  model: string | undefined,
  positions: number,
): Promise<Companions> {
  const files = new Map<string, Uint8Array>();
  const read = async (folder: string, names: readonly string[]) => {
    for (const name of await presentOf(folder, names)) files.set(name, await readFile(join(folder, name)));
  };
  await read(tokenizer, tokenizerFiles);
  if (files.size > 0) {
    const own = tokenizer === model;
    const stored = files.has(tokenizerConfigFile) ? await readJsonObject(join(tokenizer, tokenizerConfigFile)) : {};
    const limited = withLimit(stored, positions, own);
    const config = own ? limited : withClass(limited, await describeTokenizer(tokenizer));
    if (config !== stored) files.set(tokenizerConfigFile, Buffer.from(`${JSON.stringify(config, null, 2)}\n`));
  }
  if (model === undefined) return { files, growth: undefined };
  await read(model, [generationConfigFile]);
  const grown = (await presentOf(model, [growthFile])).length > 0;
  const growth = grown ? await readJsonObject(join(model, growthFile)) : undefined;
  return { files, growth, descent: await descentOf(model) };
}

export interface Checkpoint {
  readonly folder: string;
  readonly position: Position;
  readonly facts: RunFacts;
}

/** Writes a model folder from what the engine holds. @param card what is not as a run has it @param fill what else goes into it */
export async function writeModel(
  folder: string,
  engine: StateReader,
  model: Model,
  companions: Companions,
  card: Pick<ModelCard, "title" | "facts"> & Partial<ModelCard>,
  fill: (temporary: string) => Promise<void> = async () => {},
): Promise<void> {
  await writeFolderWhole(
    folder,
    async (temporary) => {
      await writeConfig(temporary, model.config);
      await writeWeights(temporary, weightTensors(engine, model));
      for (const [name, bytes] of companions.files) {
        await fillFile(join(temporary, name), bytes);
      }
      if (companions.growth !== undefined) await writeJson(join(temporary, growthFile), companions.growth);
      await writeModelCard(temporary, {
        tags: [model.architecture.type],
        pipeline: pipelineOf(model),
        descent: companions.descent,
        text: ["Pre-trained with bert2bert."],
        ...card,
      });
      await fill(temporary);
    },
    { replace: true, checksums: true },
  );
}

/** Writes weights, moments and, where a position is given, where the run stands. */
export async function writeState(
  folder: string,
  engine: StateReader,
  model: Model,
  companions: Companions,
  step: number,
  trainer?: { readonly position: Position; readonly facts: RunFacts },
): Promise<void> {
  const card = { title: `Checkpoint after ${step} steps`, facts: [["steps", String(step)]] } as const;
  await writeModel(folder, engine, model, companions, card, async (temporary) => {
    await writeWeights(temporary, momentTensors(engine, model), { fileName: optimizerFile });
    if (trainer === undefined) return;
    const json = { format: 1, version: packageVersion(), ...trainer.position, run: trainer.facts };
    await writeJson(join(temporary, trainerFile), json);
  });
}

/** Which checkpoints stay: the newest `keep`, and those of the steps `at`. */
export interface Kept {
  readonly keep: number;
  readonly at?: readonly number[];
}

/**
 * Writes a checkpoint of the run in `run` and removes the old ones that are not kept. One of a later step was damaged, or
 * the run would have gone on from there: it goes too, lest it take the place of a good one.
 */
export async function writeCheckpoint(
  run: string,
  kept: Kept,
  engine: StateReader,
  model: Model,
  companions: Companions,
  position: Position,
  facts: RunFacts,
): Promise<string> {
  const folder = join(run, checkpointsFolder, `step-${position.step}`);
  await writeState(folder, engine, model, companions, position.step, { position, facts });
  for (const step of await stepsThere(run)) {
    if (step > position.step) await removeWhole(join(run, checkpointsFolder, `step-${step}`));
  }
  await removeOld(run, kept, position.step);
  return folder;
}

/** Removes the checkpoints up to a step but for those kept: all of those that a stopped process left to do. */
export async function removeOld(run: string, { keep, at = [] }: Kept, upTo: number): Promise<void> {
  const steps = (await stepsThere(run)).filter((step) => step <= upTo && !at.includes(step));
  for (const step of steps.slice(keep)) await removeWhole(join(run, checkpointsFolder, `step-${step}`));
}

/** The steps of the checkpoints there are, newest first. */
export async function stepsThere(run: string): Promise<readonly number[]> {
  const names: readonly string[] = await ifThere(readdir(join(run, checkpointsFolder)), []);
  return names
    .map((name) => /^step-(\d+)$/.exec(name)?.[1])
    .filter((step) => step !== undefined)
    .map(Number)
    .sort((a, b) => b - a);
}

export interface OpenCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly opened: OpenModel;
}

/** A checkpoint, every file held against its SHA-256, with its model open. @throws UserError if it is not whole */
async function openCheckpoint(folder: string): Promise<OpenCheckpoint> {
  if (!(await checkFiles(folder))) {
    throw new UserError(`there is no ${checksumsFile}`, folder, "use another checkpoint");
  }
  const path = join(folder, trainerFile);
  const read = trainerSchema.safeParse(await readJsonObject(path));
  if (!read.success) {
    const key = read.error.issues[0].path.at(-1);
    throw new UserError(`\`${String(key)}\` is missing or damaged`, path, "use another checkpoint");
  }
  const { run: facts, ...position } = read.data;
  const optimizer = await openOptimizer(folder);
  if (optimizer === undefined) throw new UserError(`there is no ${optimizerFile}`, folder, "use another checkpoint");
  await optimizer.close();
  return { checkpoint: { folder, position, facts }, opened: await openModel(folder, { compareCopies: false }) };
}

/** The checkpoint of a run after `step` steps. @throws UserError if it has none, or it is damaged */
export async function checkpointOf(run: string, step: number): Promise<OpenCheckpoint> {
  const steps = await stepsThere(run);
  if (steps.includes(step)) return openCheckpoint(join(run, checkpointsFolder, `step-${step}`));
  const wayOut = steps.length === 0 ? "name a run's folder" : `take one of ${steps.toReversed().join(", ")}`;
  const what = `there is no checkpoint of step ${step}`;
  throw new UserError(what, run, `${wayOut}; \`checkpoint: { at: [${step}] }\` makes a run keep it`);
}

/**
 * The newest checkpoint of a run that is whole, every file held against its SHA-256, with its model open; undefined if
 * the run has none.
 * @param damaged told of each one that is passed over, with the files and the reason
 * @throws UserError if there are checkpoints and none is whole
 */
export async function newestCheckpoint(
  run: string,
  damaged: (message: string) => void,
): Promise<OpenCheckpoint | undefined> {
  const all = join(run, checkpointsFolder);
  await clearFolder(all);
  const steps = await stepsThere(run);
  for (const step of steps) {
    const folder = join(all, `step-${step}`);
    try {
      return await openCheckpoint(folder);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      damaged(`${folder} is damaged and left out (${error.what})`);
    }
  }
  if (steps.length === 0) return undefined;
  const what = `none of the run's checkpoints is whole (${steps.map((step) => `step-${step}`).join(", ")})`;
  throw new UserError(what, all, "put back a good copy of one, or remove this folder to begin the run anew");
}
