/**
 * The operations there are: primitives, which every engine lowers, and composites, which an engine lowers whole or
 * expands. A new operation is one new file beside this one, an export and an entry in the list.
 */
import type { Operation } from "../graph.ts";
import { adamwOp } from "./adamw.ts";
import { addOp } from "./add.ts";
import { argmaxOp } from "./argmax.ts";
import { attentionOp } from "./attention.ts";
import { attentionGradOp } from "./attentionGrad.ts";
import { bandBiasOp } from "./bandBias.ts";
import { broadcastToOp } from "./broadcastTo.ts";
import { concatOp } from "./concat.ts";
import { constantOp } from "./constant.ts";
import { crossEntropyOp } from "./crossEntropy.ts";
import { crossEntropyGradOp } from "./crossEntropyGrad.ts";
import { divOp } from "./div.ts";
import { dropoutMaskOp } from "./dropoutMask.ts";
import { equalOp } from "./equal.ts";
import { erfOp } from "./erf.ts";
import { expOp } from "./exp.ts";
import { gatherOp } from "./gather.ts";
import { geluOp } from "./gelu.ts";
import { geluGradOp } from "./geluGrad.ts";
import { globalNormOp } from "./globalNorm.ts";
import { layerNormOp } from "./layerNorm.ts";
import { layerNormGradOp } from "./layerNormGrad.ts";
import { linearOp } from "./linear.ts";
import { logOp } from "./log.ts";
import { matmulOp } from "./matmul.ts";
import { mulOp } from "./mul.ts";
import { negOp } from "./neg.ts";
import { oneHotOp } from "./oneHot.ts";
import { padOp } from "./pad.ts";
import { positiveOp } from "./positive.ts";
import { recipOp } from "./recip.ts";
import { reduceMaxOp } from "./reduceMax.ts";
import { reduceSumOp } from "./reduceSum.ts";
import { reluOp } from "./relu.ts";
import { reshapeOp } from "./reshape.ts";
import { rmsNormOp } from "./rmsNorm.ts";
import { rmsNormGradOp } from "./rmsNormGrad.ts";
import { rotaryOp } from "./rotary.ts";
import { rotationsOp } from "./rotations.ts";
import { scaleOp } from "./scale.ts";
import { scatterAddOp } from "./scatterAdd.ts";
import { siluOp } from "./silu.ts";
import { siluGradOp } from "./siluGrad.ts";
import { sliceOp } from "./slice.ts";
import { softmaxOp } from "./softmax.ts";
import { splitOp } from "./split.ts";
import { sqrtOp } from "./sqrt.ts";
import { stopGradientOp } from "./stopGradient.ts";
import { subOp } from "./sub.ts";
import { tanhOp } from "./tanh.ts";
import { transposeOp } from "./transpose.ts";

export { dropout } from "../dropout.ts";
export { type AdamwInputs, type AdamwSettings, adamw, adamwOp } from "./adamw.ts";
export { add, addOp } from "./add.ts";
export { argmax, argmaxOp } from "./argmax.ts";
export { type AttentionAttributes, type AttentionOptions, attention, attentionOp } from "./attention.ts";
export { attentionGrad, attentionGradOp } from "./attentionGrad.ts";
export { type Band, bandBias, bandBiasOp, HIDDEN } from "./bandBias.ts";
export { broadcastTo, broadcastToOp } from "./broadcastTo.ts";
export { concat, concatOp } from "./concat.ts";
export { constant, constantOp } from "./constant.ts";
export { crossEntropy, crossEntropyOp } from "./crossEntropy.ts";
export { crossEntropyGrad, crossEntropyGradOp } from "./crossEntropyGrad.ts";
export { div, divOp } from "./div.ts";
export { type DropoutMaskAttributes, dropoutMask, dropoutMaskOp, dropoutNumbers } from "./dropoutMask.ts";
export { equal, equalOp } from "./equal.ts";
export { erf, erfOp } from "./erf.ts";
export { exp, expOp } from "./exp.ts";
export { gather, gatherOp } from "./gather.ts";
export { type GeluForm, gelu, geluOp } from "./gelu.ts";
export { geluGrad, geluGradOp } from "./geluGrad.ts";
export { globalNorm, globalNormOp } from "./globalNorm.ts";
export { layerNorm, layerNormOp } from "./layerNorm.ts";
export { layerNormGrad, layerNormGradOp } from "./layerNormGrad.ts";
export { type LinearOptions, linear, linearOp } from "./linear.ts";
export { log, logOp } from "./log.ts";
export { type MatmulOptions, matmul, matmulOp } from "./matmul.ts";
export { mul, mulOp } from "./mul.ts";
export { neg, negOp } from "./neg.ts";
export { oneHot, oneHotOp } from "./oneHot.ts";
export { pad, padOp } from "./pad.ts";
export { positive, positiveOp } from "./positive.ts";
export { recip, recipOp } from "./recip.ts";
export { reduceMax, reduceMaxOp } from "./reduceMax.ts";
export { reduceSum, reduceSumOp } from "./reduceSum.ts";
export { relu, reluOp } from "./relu.ts";
export { reshape, reshapeOp } from "./reshape.ts";
export { rmsNorm, rmsNormOp } from "./rmsNorm.ts";
export { rmsNormGrad, rmsNormGradOp } from "./rmsNormGrad.ts";
export { rotary, rotaryOp } from "./rotary.ts";
export { rotationNumbers, rotations, rotationsOp } from "./rotations.ts";
export { scale, scaleOp } from "./scale.ts";
export { scatterAdd, scatterAddOp } from "./scatterAdd.ts";
export { silu, siluOp } from "./silu.ts";
export { siluGrad, siluGradOp } from "./siluGrad.ts";
export { slice, sliceOp } from "./slice.ts";
export { softmax, softmaxOp } from "./softmax.ts";
export { split, splitOp } from "./split.ts";
export { sqrt, sqrtOp } from "./sqrt.ts";
export { stopGradient, stopGradientOp } from "./stopGradient.ts";
export { sub, subOp } from "./sub.ts";
export { tanh, tanhOp } from "./tanh.ts";
export { transpose, transposeOp } from "./transpose.ts";

/** Without an expansion: an engine must know each. */
export const primitives: readonly Operation[] = [
  addOp,
  subOp,
  mulOp,
  divOp,
  negOp,
  expOp,
  logOp,
  sqrtOp,
  tanhOp,
  erfOp,
  reluOp,
  recipOp,
  positiveOp,
  scaleOp,
  constantOp,
  equalOp,
  stopGradientOp,
  matmulOp,
  reshapeOp,
  transposeOp,
  sliceOp,
  padOp,
  concatOp,
  broadcastToOp,
  reduceSumOp,
  reduceMaxOp,
  argmaxOp,
  gatherOp,
  scatterAddOp,
  oneHotOp,
  bandBiasOp,
  rotationsOp,
  dropoutMaskOp,
];

/** With an expansion into simpler operations. */
export const composites: readonly Operation[] = [
  splitOp,
  linearOp,
  softmaxOp,
  layerNormOp,
  layerNormGradOp,
  rmsNormOp,
  rmsNormGradOp,
  geluOp,
  geluGradOp,
  siluOp,
  siluGradOp,
  rotaryOp,
  attentionOp,
  attentionGradOp,
  crossEntropyOp,
  crossEntropyGradOp,
  globalNormOp,
  adamwOp,
];

export const operations: readonly Operation[] = [...primitives, ...composites];
