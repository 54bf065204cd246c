/**
 * Training cost in the convention that papers on growing BERT report (the one of ELECTRA's appendix, Clark et al. 2020;
 * used by bert2BERT): a multiply-add is 2 operations, the backward pass costs as much as the forward pass of what
 * trains (half as much of what the gradient only passes: there are products with the weights, and none for them),
 * embeddings count as dense products with one-hot rows, and softmax, norms, activations and dropout count by element. The
 * optimizer counts nothing. What a program really computes is counted by the program (program/flops.ts).
 *
 * Derived from the parameter table: a matrix is a product at each position it is applied to, a bias an addition, a gain
 * a norm. So it holds for every architecture that has a table.
 */
import type { Model } from "./architecture.ts";
import type { Activation } from "./config.ts";
import { elements, type Parameter, runsAlong } from "./table.ts";

const SOFTMAX = 5;
const NORM = 5;
const GELU = 8;
const SILU = 5;
const DROPOUT = 4;
const TANH = GELU;

/** One training step. */
export interface StepShape {
  /** Sequences a step, over all accumulated micro-batches. */
  readonly sequences: number;
  /** Tokens a sequence. */
  readonly length: number;
  /** Positions a sequence at which the language-model head runs: the masked ones, all for a causal model. */
  readonly predicted: number;
  /** Whether pooler and next-sentence head run. */
  readonly nsp: boolean;
  /** Blocks that run, from the bottom; default all. */
  readonly layers?: number;
  /** The lowest block that trains; below it nothing is computed backward; default 0, and then the embeddings train too. */
  readonly trainFrom?: number;
  /** How many blocks train; default all from there on. With fewer, embeddings do not. */
  readonly train?: number;
  /** Whether the output heads train; default yes. */
  readonly head?: boolean;
}

export interface StepFlops {
  readonly forward: number;
  readonly backward: number;
  readonly total: number;
}

/** Operations of one step, by the paper's convention. */
export function paperFlops(model: Model, step: StepShape): StepFlops {
  const { layers: depth } = model.dimensions;
  const layers = step.layers ?? depth;
  const trainFrom = step.trainFrom ?? 0;
  const embedding = embeddingFlops(model, step.length) * step.length;
  const block = (step.length * blockFlops(model, step.length, layers)) / Math.max(1, layers);
  const head = headFlops(model, step);
  const forward = step.sequences * (embedding + layers * block + head);
  const reached = layers - trainFrom;
  const train = step.train ?? reached;
  const entered = trainFrom === 0 && train === reached ? embedding : 0;
  const passed = ((reached - train) * block + (step.head === false ? head : 0)) / 2;
  const backward = step.sequences * (entered + train * block + (step.head === false ? 0 : head) + passed);
  return { forward, backward, total: forward + backward };
}

/** What applying a parameter once costs: a product, an addition or a norm. */
function applied(parameter: Parameter): number {
  if (parameter.part === "norm-gain") return NORM * elements(parameter);
  if (parameter.part === "norm-shift") return 0;
  return parameter.dims.length > 1 ? 2 * elements(parameter) : elements(parameter);
}

function sum(parameters: readonly Parameter[]): number {
  return parameters.reduce((total, parameter) => total + applied(parameter), 0);
}

function activation(units: number, which: Activation): number {
  return { relu: 1, silu: SILU, "gelu-erf": GELU, "gelu-tanh": GELU }[which] * units;
}

/** A token's embeddings: of the position table only the rows that a sequence uses. */
function embeddingFlops(model: Model, length: number): number {
  const { hidden } = model.dimensions;
  const tables = model.parameters.filter((parameter) => parameter.group === "embedding");
  const position = tables.find((parameter) => runsAlong(parameter.dims[0], "position"));
  const unused = position === undefined ? 0 : 2 * hidden * (position.dims[0].size - length);
  return sum(tables) - unused + DROPOUT * hidden;
}

/** The lowest so many blocks at one position of a sequence. */
function blockFlops(model: Model, length: number, layers: number): number {
  const { hidden, heads, headWidth, ffn } = model.dimensions;
  const weights = sum(model.parameters.filter(({ layer }) => layer !== null && layer < layers));
  const products = 2 * (2 * heads * headWidth * length);
  const probabilities = heads * length * (1 + SOFTMAX + DROPOUT);
  const residuals = 2 * hidden * (DROPOUT + 1);
  return weights + layers * (products + probabilities + activation(ffn, model.settings.activation) + residuals);
}

/** The output heads over a whole sequence. */
function headFlops(model: Model, step: StepShape): number {
  const { hidden, vocab } = model.dimensions;
  const { transform } = model.settings;
  const parameters = model.parameters.filter((parameter) => parameter.group === "head");
  const pooling = parameters.filter(({ output }) => output === "pooler" || output === "nsp");
  const predicting = parameters.filter((parameter) => !pooling.includes(parameter));
  let total = 0;
  if (model.outputs.lm !== "none") {
    const transformed = predicting.some((parameter) => runsAlong(parameter.dims[0], "transform"));
    const decoder = (model.outputs.lm === "tied" ? 2 * hidden * vocab : 0) + SOFTMAX * vocab;
    total +=
      step.predicted *
      (sum(predicting) + (transformed ? activation(hidden, transform ?? model.settings.activation) : 0) + decoder);
  }
  if (step.nsp) total += sum(pooling) + TANH * hidden + SOFTMAX * 2;
  return total;
}
