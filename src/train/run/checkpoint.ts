/**
 * Checkpoints of a run: `checkpoints/step-N/`, each a complete model folder with the optimizer's state and
 * `trainer.json`, which holds where the run stands. Written whole or not at all; the newest few are kept.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
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
import { isJsonObject, type Json, readJsonObject } from "../../util/json.ts";
import { packageVersion } from "../../util/paths.ts";
import { errorCode } from "../../util/system.ts";
import { momentTensors, type StateReader, weightTensors } from "../step/state.ts";
import type { FlopsSoFar, TermSums } from "../step/terms.ts";

export const checkpointsFolder = "checkpoints";

/** Where a run stands after a step. With the weights, the moments and the settings it says all that comes after. */
export interface Position {
  /** Steps done. */
  readonly step: number;
  readonly tokens: number;
  readonly flops: FlopsSoFar;
  /** Spent training, evaluations and checkpoints left out. */
  readonly seconds: number;
  /** Likewise; absent where the machine does not tell. */
  readonly joules?: number;
  /** Lines of metrics.jsonl that belong to the steps done. */
  readonly metrics: number;
  /** Whether the evaluation after this step is still to be done. */
  readonly due: boolean;
  /** The log interval that is open: steps since the last training line and the sums of their losses. */
  readonly open: {
    readonly steps: number;
    readonly loss: number;
    readonly terms?: TermSums;
    readonly tokens: number;
    readonly seconds: number;
  };
}

/** What a checkpoint says beside the position. */
export interface RunFacts {
  /** Blocks of the model that the run started with: its plan was made for them. */
  readonly layers: number;
  /** What the data is known by. */
  readonly data: string;
  readonly engine: string;
  /** Every engine that it has run on, in order, this one last. */
  readonly engines: readonly string[];
  /** What the model is known by that it began with; empty in checkpoints of before this was kept. */
  readonly model: string;
}

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
    const { flops, ...rest } = trainer.position;
    const { terms, ...open } = rest.open;
    const json: Json = {
      format: 1,
      version: packageVersion(),
      ...rest,
      flops: { ...flops },
      open: { ...open, ...(terms === undefined ? {} : { terms: { ...terms } }) },
      run: { ...trainer.facts },
    };
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
  let names: string[];
  try {
    names = await readdir(join(run, checkpointsFolder));
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
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
  const checkpoint = await readCheckpoint(folder);
  const optimizer = await openOptimizer(folder);
  if (optimizer === undefined) throw new UserError(`there is no ${optimizerFile}`, folder, "use another checkpoint");
  await optimizer.close();
  return { checkpoint, opened: await openModel(folder, { compareCopies: false }) };
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

async function readCheckpoint(folder: string): Promise<Checkpoint> {
  const path = join(folder, trainerFile);
  const json = await readJsonObject(path);
  const refuse = (key: string) => new UserError(`\`${key}\` is missing or damaged`, path, "use another checkpoint");
  const number = (from: Json, key: string): number => {
    const value = from[key];
    if (typeof value !== "number" || !(value >= 0)) throw refuse(key);
    return value;
  };
  const text = (from: Json, key: string): string => {
    const value = from[key];
    if (typeof value !== "string") throw refuse(key);
    return value;
  };
  const object = (key: string): Json => {
    const value = json[key];
    if (!isJsonObject(value)) throw refuse(key);
    return value;
  };
  const flops = object("flops");
  const open = object("open");
  const { terms } = open;
  if (terms !== undefined && !isJsonObject(terms)) throw refuse("open.terms");
  const run = object("run");
  return {
    folder,
    position: {
      step: number(json, "step"),
      tokens: number(json, "tokens"),
      flops: { exact: number(flops, "exact"), paper: number(flops, "paper") },
      seconds: number(json, "seconds"),
      joules: json.joules === undefined ? undefined : number(json, "joules"),
      metrics: number(json, "metrics"),
      due: json.due === true,
      open: {
        steps: number(open, "steps"),
        loss: number(open, "loss"),
        terms:
          terms === undefined
            ? undefined
            : { lm: number(terms, "lm"), nsp: number(terms, "nsp"), nsp_correct: number(terms, "nsp_correct") },
        tokens: number(open, "tokens"),
        seconds: number(open, "seconds"),
      },
    },
    facts: {
      layers: number(run, "layers"),
      data: text(run, "data"),
      engine: text(run, "engine"),
      // A checkpoint of before they were kept knows the last alone.
      engines: Array.isArray(run.engines) ? run.engines.map(String) : [text(run, "engine")],
      model: run.model === undefined ? "" : text(run, "model"),
    },
  };
}
