/**
 * What a run needs before its first step: the model, the data, the stages, each checked against the others. Nothing is
 * written here, so whatever is wrong is said before anything is touched.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { presentOf, tokenizerFiles } from "../../checkpoint/folder.ts";
import { trainerFile } from "../../checkpoint/optimizer.ts";
import type { BatchShape } from "../../data/batch/batch.ts";
import { dataSize, trainingBatch } from "../../data/batch/batches.ts";
import { type Dataset, infoJson } from "../../data/prepared/dataset.ts";
import { openTokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { TensorData } from "../../engine/engine.ts";
import type { Model } from "../../model/architecture.ts";
import { architectureOf } from "../../model/architectures.ts";
import { addHead, headWayOut, headWords } from "../../model/head.ts";
import { type OpenModel, openModel } from "../../model/load.ts";
import { inputsOf, type Objective, objectives, supports, termsOf } from "../../model/objectives.ts";
import { remarks } from "../../model/remarks.ts";
import { checkFiles, hashFiles, sha256 } from "../../store/checksums.ts";
import { UserError } from "../../util/errors.ts";
import { readJsonObject } from "../../util/json.ts";
import type { StepCommon } from "../step/compiled.ts";
import { batchInputs, dropoutKey } from "../step/inputs.ts";
import { parametrized } from "../step/parametrization.ts";
import { drawn, type ParameterSource } from "../step/state.ts";
import type { OptimizerRule } from "../step/step.ts";
import { type Checkpoint, type Companions, checkpointOf, readCompanions } from "./checkpoint.ts";
import { runFile, storedRun } from "./folder.ts";
import {
  differences,
  type LoadedRun,
  ORDER,
  type RunSettings,
  shown,
  spelledOut,
  stagesOf,
  startFolder,
  stepsOf,
} from "./settings.ts";

/** How the validation part is measured. */
export interface EvaluationForm {
  readonly objective: Objective;
  readonly batch: Omit<BatchShape, "accumulate">;
  readonly length: number;
  /** Masked positions a sequence. */
  readonly perSequence: number;
  /** At most so many sequences; default all. */
  readonly limit?: number;
}

/** A model to start from. */
export interface Start {
  readonly model: Model;
  readonly parameters: ParameterSource;
  /** Named in messages. */
  readonly where: string;
  /** The folder of its tokenizer. */
  readonly tokenizer: string;
  readonly companions: Companions;
  /** A folder whose optimizer.safetensors goes on. */
  readonly moments: string | undefined;
  /** What its owner may not expect, in sentences for a person. */
  readonly notes: readonly string[];
  /** Where it stands: a checkpoint of this run, or of the one that this one carries further. */
  readonly checkpoint?: Checkpoint;
  close(): Promise<void>;
}

/** A start as the settings name it. */
export interface Begun extends Start {
  /** What the model is known by, wherever it lies. Reads all of it. */
  identity(): Promise<string>;
}

/** The model that the settings name. @param note told what a person may not expect @throws UserError */
export async function openStart(run: LoadedRun, dataset: Dataset, note: (text: string) => void): Promise<Begun> {
  const { model: source, optimizer, seed } = run.settings;
  if ("init" in source) {
    const given = await readJsonObject(source.init);
    const { vocabulary } = dataset.info.tokenizer;
    const config = "vocab_size" in given ? given : { ...given, vocab_size: vocabulary };
    const model = architectureOf(config, source.init).model(config, source.init);
    const { vocab } = model.dimensions;
    const tokenizer = source.tokenizer ?? dataset.tokenizerFolder;
    return {
      model,
      parameters: drawn(parametrized(model, optimizer), seed),
      where: source.init,
      tokenizer,
      companions: await readCompanions(tokenizer, undefined, model.dimensions.positions),
      moments: undefined,
      notes:
        vocab === vocabulary
          ? []
          : [
              `\`vocab_size\` of ${source.init} is ${vocab}, the data's tokenizer has ${vocabulary} tokens: left out, it is the tokenizer's`,
            ],
      identity: async () => sha256(JSON.stringify(config)),
      close: async () => {},
    };
  }
  const keep = optimizer.moments === "keep";
  if (source.step !== undefined) {
    await checkSameOrder(run, source.from);
    const found = await checkpointOf(source.from, source.step);
    return { ...(await startFrom(found, dataset, keep)), identity: () => identityOf(found.opened) };
  }
  const folder = startFolder(source, note);
  // A config may be edited by hand; weights are not.
  await checkFiles(folder, (name) => name.endsWith(".safetensors"));
  const opened = await openModel(folder);
  try {
    if (folder !== source.from || existsSync(join(folder, trainerFile))) {
      note("the batches are drawn from the first one on: `model: { from: RUN, step: N }` goes on where a run was");
    }
    const begun = source["add-head"] === true ? addHead(opened, seed) : opened;
    const start = await startFrom({ opened: begun }, dataset, keep);
    const said = (await remarks(opened, begun.model.outputs)).map((remark) => `${folder}: ${remark}`);
    return { ...start, notes: [...said, ...headWords(opened.model, begun.model)], identity: () => identityOf(opened) };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** What a model is known by, wherever it lies. */
async function identityOf({ config, weights }: OpenModel): Promise<string> {
  return sha256(JSON.stringify([config, await hashFiles(weights.files)]));
}

/** @throws UserError if what the batches are a function of is not as in the run that is carried further */
async function checkSameOrder(run: LoadedRun, from: string): Promise<void> {
  const before = await storedRun(from);
  if (before === undefined) {
    throw run.file.error(["model", "from"], `${from} is no run: there is no ${runFile}`, "name a run's folder");
  }
  const other = differences(before, spelledOut(run.settings)).find(({ key }) => ORDER.test(key));
  if (other === undefined) return;
  throw run.file.error(
    other.key.split("."),
    `\`${other.key}\` is ${shown(other.now)}, and was ${shown(other.before)} in the run it carries further: its place in the data's order would be another`,
    "write what that run has, or leave out `model.step` and name its checkpoint's folder: it then starts at step 0",
  );
}

/** A model folder to start from. @param moments whether its optimizer's state goes on */
export async function startFrom(
  {
    opened,
    checkpoint,
  }: {
    readonly opened: Pick<OpenModel, "folder" | "model" | "close"> & { readonly weights: ParameterSource };
    readonly checkpoint?: Checkpoint;
  },
  dataset: Dataset,
  moments: boolean,
): Promise<Start> {
  const { folder, model, weights } = opened;
  const tokenizer = await tokenizerOf(folder, dataset);
  return {
    model,
    parameters: weights,
    where: folder,
    tokenizer,
    companions: await readCompanions(tokenizer, folder, opened.model.dimensions.positions),
    moments: moments ? folder : undefined,
    notes: [],
    checkpoint,
    close: () => opened.close(),
  };
}

/** Where a model folder's tokenizer is: its own, or the one the data was prepared with. */
export async function tokenizerOf(folder: string, dataset: Dataset): Promise<string> {
  return (await presentOf(folder, tokenizerFiles)).length > 0 ? folder : dataset.tokenizerFolder;
}

/** What all steps of a run have in common. @param perSequence positions of a sequence that are predicted */
export function stepCommon(
  settings: Pick<RunSettings, "objective" | "batch"> & {
    readonly optimizer: OptimizerRule & Pick<RunSettings["optimizer"], "dropout">;
  },
  model: Model,
  length: number,
  perSequence: number,
): StepCommon {
  const { objective, batch, optimizer } = settings;
  const configured = model.settings.dropout;
  const rate = optimizer.dropout;
  const rates =
    rate === "config" ? configured : { ...configured, embedding: rate, attention: rate, hidden: rate, inner: rate };
  const dropout = Object.values(rates).some((value) => value > 0);
  return {
    loss: {
      ...inputsOf(objective),
      documents: batch.documents === "apart",
      batch: batch.sequences,
      length,
      perSequence,
      dropout: dropout ? rates : undefined,
    },
    accumulate: batch.accumulate,
    optimizer,
    shape: {
      sequences: batch.sequences * batch.accumulate,
      length,
      // A causal program runs its head at every position, the last included.
      predicted: objective === "clm" ? length : perSequence,
      nsp: termsOf(objective).includes("nsp"),
    },
  };
}

/** What a micro-batch of a step gives its program. */
export function batchOf(
  { settings, dataset, plan }: { readonly settings: RunSettings; readonly dataset: Dataset; readonly plan: RunPlan },
  step: number,
  micro: number,
): Record<string, TensorData> {
  const { seed, batch } = settings;
  const made = trainingBatch(dataset, { objective: plan.objective, seed, step, micro, batch });
  return batchInputs(made, plan.common.loss.dropout && dropoutKey(seed, step, micro, batch.accumulate));
}

/** A value of a program that is larger is refused before anything is built of it: 128 GiB in float32. */
const MOST_NUMBERS = 2 ** 35;

/** What follows from settings, data and model together. */
export type RunPlan = Awaited<ReturnType<typeof planRun>>;

/**
 * @param model after `done` steps @param layers of the model that the run started with
 * @throws UserError
 */
export async function planRun(run: LoadedRun, dataset: Dataset, model: Model, layers: number, done: number) {
  const { settings } = run;
  const { batch, objective } = settings;
  const size = dataSize(dataset, objective, batch);
  const { length } = dataset.info;
  const steps = stepsOf(settings, size.tokensPerStep, size.sequences);
  const stages = await stagesOf(run, layers, steps, model.dimensions.layers, done);
  const late = settings.checkpoint.at?.find((step) => step > steps);
  if (late !== undefined) {
    const what = `\`checkpoint.at\` names step ${late}, and the run has ${steps}`;
    throw run.file.error(["checkpoint", "at"], what, "name steps of the run");
  }
  const grown = stages.findLast(({ grow, start }) => grow !== undefined && start < done)?.grow;
  for (const axis of ["layers", "hidden", "heads", "ffn"] as const) {
    const is = model.dimensions[axis];
    if ((grown?.[axis] ?? is) === is) continue;
    const what = `by the plan ${axis} is ${grown?.[axis]} after ${done} steps, in the checkpoint it is ${is}`;
    throw run.file.error(["plan"], what, "write the growth up to that step as it was, or none of it");
  }
  const common = stepCommon(settings, model, length, size.perSequence);
  const { heads, vocab } = model.dimensions;
  const largest = batch.sequences * length * Math.max(heads * length, vocab);
  if (largest > MOST_NUMBERS) {
    throw run.file.error(
      ["batch", "sequences"],
      `with ${batch.sequences} sequences a single value of a step would hold ${largest.toPrecision(2)} numbers`,
      "lower batch.sequences and raise batch.accumulate as much",
    );
  }
  const { perSequence } = size;
  const evaluation: EvaluationForm = { objective, batch, length, perSequence, limit: settings.evaluate.sequences };
  return { objective, steps, stages, size, common, evaluation };
}

/**
 * Whether model, data and objective belong together.
 * @param tokenizer folder of the model's own tokenizer; where it is the data's there is nothing to compare
 * @returns the data for this model: nothing is drawn that its vocabulary does not have
 * @throws UserError
 */
export async function checkFit(
  model: Model,
  where: string,
  dataset: Dataset,
  objective: Objective,
  tokenizer: string,
): Promise<Dataset> {
  const { info } = dataset;
  if (!supports(model, objective)) {
    const other = objectives.find((known) => supports(model, known));
    const wayOut =
      other === undefined
        ? `${headWayOut}; where \`init\` names a config, name a class with that head in its \`architectures\``
        : `use objective ${other}, or a model whose class in config.json's \`architectures\` has that head`;
    throw new UserError(`the model has no head for objective ${objective}`, where, wayOut);
  }
  if (termsOf(objective).includes("nsp") && model.dimensions.types < 2) {
    const what = "the model has a single token type, and sentence pairs take two";
    throw new UserError(what, where, "use objective mlm, or a config with type_vocab_size 2");
  }
  if (info.length > model.dimensions.positions) {
    const what = `the data's sequences are ${info.length} tokens long, the model takes ${model.dimensions.positions}`;
    throw new UserError(what, dataset.folder, `prepare the data with --length ${model.dimensions.positions} or less`);
  }
  const { vocab } = model.dimensions;
  const { cls = 0, sep = 0, mask = 0, pad = 0 } = objective === "clm" ? {} : info.tokenizer.special;
  const padding = termsOf(objective).includes("nsp") ? pad : 0;
  const largest = Math.max(info.largest ?? info.tokenizer.vocabulary - 1, cls, sep, mask, padding);
  if (largest >= vocab) {
    const sizes = `the data's tokenizer has ${info.tokenizer.vocabulary} tokens, the model's vocabulary ${vocab}`;
    const what = `${sizes}, and the data holds or needs token ${largest}`;
    const wayOut =
      "prepare the data with the model's own tokenizer: bert2bert prepare … --model FOLDER checks every id";
    throw new UserError(what, dataset.folder, wayOut);
  }
  const fitting = { ...dataset, drawnBelow: vocab };
  if (tokenizer === dataset.tokenizerFolder) return fitting;
  if ((await presentOf(tokenizer, tokenizerFiles)).length === 0) {
    throw new UserError("holds no tokenizer", tokenizer, "name a folder with tokenizer.json, or vocab.txt");
  }
  const own = await openTokenizer(tokenizer);
  if (own.info.hash !== info.tokenizer.hash) {
    const what = `the data was prepared with another tokenizer than that of ${tokenizer}`;
    throw new UserError(what, dataset.folder, `prepare it anew: bert2bert prepare … --tokenizer ${tokenizer}`);
  }
  return fitting;
}

/** What prepared data is known by: its info, which holds the tokenizer's and the sources' hashes. */
export function fingerprint(dataset: Dataset): string {
  return createHash("sha256")
    .update(JSON.stringify(infoJson(dataset.info)))
    .digest("hex")
    .slice(0, 16);
}
