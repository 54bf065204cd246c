/**
 * How each operation of a program becomes steps: one function an operation (lower/), in one table. Products, element-wise
 * functions and norms are oneDNN's; softmax, cross-entropy, lookups and the optimizer are our own row kernels
 * (kernels/); what training does not need often is done by the reference engine's kernels.
 *
 * A product takes with it what follows it, where nothing else reads its result: the addition of a residual or of
 * another gradient, and a factor. So a sum of gradients costs no pass over memory of its own.
 */
import * as ops from "../../program/ops/index.ts";
import { attention, attentionGrad } from "./lower/attention.ts";
import { gelu, geluGrad, layerNorm, layerNormGrad, silu, siluGrad } from "./lower/blocks.ts";
import { binary, concat, constant, rename, split, transpose, unary } from "./lower/elementwise.ts";
import { linear, matmul, reduceSum } from "./lower/products.ts";
import { rmsNorm, rmsNormGrad, rotary } from "./lower/rms.ts";
import { type Lowering, number, reference } from "./lower/shared.ts";
import {
  adamw,
  crossEntropy,
  crossEntropyGrad,
  dropoutMask,
  gather,
  globalNorm,
  scatterAdd,
} from "./lower/training.ts";

/** By the operation's name. Composites that are missing are expanded, primitives must be here. */
export const lowerings: ReadonlyMap<string, Lowering> = new Map<string, Lowering>([
  [ops.addOp.name, binary("add")],
  [ops.subOp.name, binary("sub")],
  [ops.mulOp.name, binary("mul")],
  [ops.divOp.name, binary("div")],
  [ops.negOp.name, unary("linear", () => -1)],
  [ops.scaleOp.name, unary("linear", (node) => number(node, "factor"))],
  [ops.expOp.name, unary("exp")],
  [ops.sqrtOp.name, unary("sqrt")],
  [ops.tanhOp.name, unary("tanh")],
  [ops.reluOp.name, unary("relu")],
  [ops.recipOp.name, unary("pow", () => 1, -1)],
  [ops.constantOp.name, constant],
  [ops.reshapeOp.name, rename],
  [ops.stopGradientOp.name, rename],
  [ops.transposeOp.name, transpose],
  [ops.splitOp.name, split],
  [ops.concatOp.name, concat],
  [ops.matmulOp.name, matmul],
  [ops.linearOp.name, linear],
  [ops.reduceSumOp.name, reduceSum],
  [ops.layerNormOp.name, layerNorm],
  [ops.layerNormGradOp.name, layerNormGrad],
  [ops.geluOp.name, gelu],
  [ops.geluGradOp.name, geluGrad],
  [ops.siluOp.name, silu],
  [ops.siluGradOp.name, siluGrad],
  [ops.rmsNormOp.name, rmsNorm],
  [ops.rmsNormGradOp.name, rmsNormGrad],
  [ops.rotaryOp.name, rotary],
  [ops.attentionOp.name, attention],
  [ops.attentionGradOp.name, attentionGrad],
  [ops.crossEntropyOp.name, crossEntropy],
  [ops.crossEntropyGradOp.name, crossEntropyGrad],
  [ops.gatherOp.name, gather],
  [ops.scatterAddOp.name, scatterAdd],
  [ops.dropoutMaskOp.name, dropoutMask],
  [ops.globalNormOp.name, globalNorm],
  [ops.adamwOp.name, adamw],
  ...[
    // oneDNN's logarithm is off by more than a unit in the last place.
    ops.logOp,
    ops.erfOp,
    ops.positiveOp,
    ops.equalOp,
    ops.sliceOp,
    ops.padOp,
    ops.broadcastToOp,
    ops.reduceMaxOp,
    ops.argmaxOp,
    ops.oneHotOp,
    ops.bandBiasOp,
    ops.rotationsOp,
  ].map((op): [string, Lowering] => [op.name, reference]),
]);
