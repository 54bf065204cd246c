/**
 * How each operation of a program becomes steps: one function an operation (lower/), in one table. Products, element-wise
 * functions and norms are oneDNN's; softmax, cross-entropy, lookups and the optimizer are our own row kernels
 * (kernels/); what training does not need often is done by the reference engine's kernels.
 *
 * A product takes with it what follows it, where nothing else reads its result: the addition of a residual or of
 * another gradient, and a factor. So a sum of gradients costs no pass over memory of its own.
 */
import { attention, attentionGrad } from "./lower/attention.ts";
import { gelu, geluGrad, layerNorm, layerNormGrad, silu, siluGrad } from "./lower/blocks.ts";
import { binary, concat, constant, rename, split, transpose, unary } from "./lower/elementwise.ts";
import { linear, matmul, reduceSum } from "./lower/products.ts";
import { rmsNorm, rmsNormGrad, rotary } from "./lower/rms.ts";
import { type Lowering, type Lowerings, reference } from "./lower/shared.ts";
import {
  adamw,
  crossEntropy,
  crossEntropyGrad,
  dropoutMask,
  gather,
  globalNorm,
  scatterAdd,
} from "./lower/training.ts";

const table: Lowerings = {
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  neg: unary("linear", () => -1),
  scale: unary("linear", ({ factor }) => factor),
  exp: unary("exp"),
  sqrt: unary("sqrt"),
  tanh: unary("tanh"),
  relu: unary("relu"),
  recip: unary("pow", () => 1, -1),
  constant,
  reshape: rename,
  stopGradient: rename,
  transpose,
  split,
  concat,
  matmul,
  linear,
  reduceSum,
  layerNorm,
  layerNormGrad,
  gelu,
  geluGrad,
  silu,
  siluGrad,
  rmsNorm,
  rmsNormGrad,
  rotary,
  attention,
  attentionGrad,
  crossEntropy,
  crossEntropyGrad,
  gather,
  scatterAdd,
  dropoutMask,
  globalNorm,
  adamw,
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
