/**
 * The recipe that this tool recommends for a model and its data, as the text of a RUN.yaml: what saved most in our own
 * studies (docs/results/bert-mini.md, gpt-mini.md, reuse-gpt.md), with the reasons beside the numbers. A starting point, not a law.
 */
import { join, relative, sep } from "node:path";
import { adviceOnGrown } from "../advise/advise.ts";
import { growthFile, presentOf } from "../checkpoint/folder.ts";
import { dataSize } from "../data/batch/batches.ts";
import { openDataset } from "../data/prepared/dataset.ts";
import { unmeasured } from "../model/architectures.ts";
import { addHead } from "../model/head.ts";
import { openModel } from "../model/load.ts";
import { supports } from "../model/objectives.ts";
import { normsOnStream } from "../model/table.ts";
import { keeping } from "../util/closing.ts";
import { readJsonObject } from "../util/json.ts";
import { checkFit, tokenizerOf } from "./run/setup.ts";

/** Tokens of a step: enough that a gradient is steady, few enough that a small budget has many steps. */
const TOKENS_A_STEP = 4096;
/**
 * The peak rate times the hidden size. What a network bears falls with its width (Yang et al., "Tensor Programs V",
 * 2022); norms after the residual sum bear less than norms before the branches.
 */
const RATE_TIMES_WIDTH = { pre: 0.4, post: 0.2 } as const;
/** Second moments that forget sooner: RoBERTa's where norms after the residual sum make gradients swing, GPT-3's else. */
const BETAS = { pre: "[0.9, 0.95]", post: "[0.9, 0.98]" } as const;
const EVALUATIONS = 20;

export interface Recommended {
  /** A model folder. */
  readonly model: string;
  /** What `prepare` wrote. */
  readonly data: string;
  /** Where the run is to go. */
  readonly out: string;
  /** The folder that the file will stand in: its paths are relative to it. */
  readonly beside: string;
}

/** The paper's sub-models by quarters and their best share, 5 epochs of 40: they gain in BERT; in GPT-2, tried with AKI, not. */
function twoStages(layers: number): string {
  const block = Math.ceil(layers / 4);
  return `plan: { two-stage: { block: ${block}, share: 0.125 } } # first sub-models of ${block}, ${2 * block}, … layers`;
}

/** A model without a language-model head is given one. @throws UserError if model and data do not fit */
export async function recommendRun({ model: from, data, out, beside }: Recommended): Promise<string> {
  await using keep = keeping();
  const dataset = keep(await openDataset(data));
  const opened = keep(await openModel(from, { compareCopies: false }));
  const headless = opened.model.outputs.lm === "none";
  const { model } = headless ? addHead(opened, 0) : opened;
  // The language model alone: sentence pairs are there to be asked for.
  const objective = (["mlm", "clm"] as const).find((known) => supports(model, known));
  if (objective === undefined) throw new Error(`a ${model.architecture.type} learns neither mlm nor clm`);
  await checkFit(model, from, dataset, objective, await tokenizerOf(from, dataset));
  const { length } = dataset.info;
  const sequences = Math.max(1, Math.round(TOKENS_A_STEP / length));
  const size = dataSize(dataset, objective, { sequences, accumulate: 1, masked: 0.15 });
  const steps = Math.max(1, Math.ceil(size.stepsPerEpoch));
  const every = Math.max(1, Math.ceil(steps / EVALUATIONS));
  const norms = normsOnStream(model.parameters).length > 0 ? "post" : "pre";
  const rate = Number((RATE_TIMES_WIDTH[norms] / model.dimensions.hidden).toPrecision(1));
  const grown = (await presentOf(from, [growthFile])).length > 0;
  const growth = grown ? await readJsonObject(join(from, growthFile)) : undefined;
  const advice = await adviceOnGrown(model, growth, steps * size.tokensPerStep);
  const way = (path: string) => relative(beside, path).split(sep).join("/") || ".";
  const fact = (text: string) => JSON.stringify(text);
  const caution = unmeasured(model.architecture);
  return [
    ...[caution, advice].flatMap((text) => (text === undefined ? [] : [`# ${text}`])),
    `out: ${fact(way(out))}`,
    `model: { from: ${fact(way(from))}${headless ? ", add-head: true } # it has no language-model head" : " }"}`,
    `data: { from: ${fact(way(data))} }`,
    `objective: ${objective}`,
    `batch: { sequences: ${sequences} } # ${sequences * length} tokens a step`,
    `optimizer: { lr: ${rate.toExponential()}, betas: ${BETAS[norms]} } # for ${model.dimensions.hidden} units; if the loss jumps, halve it`,
    "schedule: { warmup: 0.05, decay: linear, cooldown: 0.2 } # one that falls early crosses early, and ends higher",
    ...(grown && objective === "mlm" && model.dimensions.layers > 1 ? [twoStages(model.dimensions.layers)] : []),
    `steps: ${steps} # once over the data, ${dataset.train.info.tokens} tokens; more if you can afford it`,
    `evaluate: { every: ${every} }`,
    `checkpoint: { every: ${every} }`,
    "",
  ].join("\n");
}
