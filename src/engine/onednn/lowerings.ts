/**
 * How each operation of a program becomes steps: one function an operation (lower/), in one table. Products, element-wise
 * functions and norms are oneDNN's; softmax, cross-entropy, lookups and the optimizer are our own row kernels
 * (kernels/); what training does not need often is done by the reference engine's kernels.
 *
 * A product takes with it what follows it, where nothing else reads its result: the addition of a residual or of
 * another gradient, and a factor. So a sum of gradients costs no pass over memory of its own.
 */
import { attention, attentionGrad } from "./lower/attention.ts";
import { blocks } from "./lower/blocks.ts";
import { elementwise } from "./lower/elementwise.ts";
import { linear, matmul, reduceSum } from "./lower/products.ts";
import { rmsNorm, rmsNormGrad, rotary } from "./lower/rms.ts";
import { type Lowering, type Lowerings, reference } from "./lower/shared.ts";
import { training } from "./lower/training.ts";

const table: Lowerings = {
  ...{ ...elementwise, ...blocks, ...training },
  ...{ matmul, linear, reduceSum, rmsNorm, rmsNormGrad, rotary, attention, attentionGrad },
  // oneDNN's logarithm is off by more than a unit in the last place.
  log: reference,
  erf: reference,
  positive: reference,
  equal: reference,
  slice: reference,
  pad: reference,
  broadcastTo: reference,
  reduceMax: reference,
  argmax: reference,
  oneHot: reference,
  bandBias: reference,
  rotations: reference,
};

export const lowerings: ReadonlyMap<string, Lowering> = new Map(Object.entries(table));
