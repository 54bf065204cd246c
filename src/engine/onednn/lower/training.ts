/** The loss, lookups, dropout and the optimizer: our own kernels (kernels/). */
import { sameShape, size } from "../../../program/graph.ts";
import type { NodeOf } from "../../../program/ops/index.ts";
import * as ops from "../../../program/ops/index.ts";
import type { Planner } from "../planner.ts";
import type { Window } from "../steps.ts";
import { atLeastVector, type Lowerings, reshaped } from "./shared.ts";

/** The softmax is kept in place of log Σ e^logits, which only the backward pass reads: that wants the softmax. */
function crossEntropy(p: Planner, node: NodeOf<"crossEntropy">): void {
  const [logits, labels, weights] = node.inputs.map((value) => p.window(value));
  const [loss, logsumexp] = node.outputs;
  const [rows, classes] = logits.dims;
  const shares = softmaxOf(p, logits);
  const losses = p.scratch([rows]);
  const args = [logits, shares, labels, weights, losses, classes];
  p.push({ of: "loss", do: "kernel", name: "crossEntropyOfShares", args, split: rows });
  p.push({ of: "loss", do: "kernel", name: "sumInOrder", args: [losses, rows, p.make(loss)] });
  if (p.readOnlyBy(logsumexp, ops.crossEntropyGradOp.name)) {
    p.bind(logsumexp, shares);
    return;
  }
  const sums = [logits, shares, p.make(logsumexp), classes];
  p.push({ of: "loss", do: "kernel", name: "logOfSums", args: sums, split: rows });
}

function crossEntropyGrad(p: Planner, node: NodeOf<"crossEntropyGrad">): void {
  const [g, logits, kept, labels, weights] = node.inputs.map((value) => p.window(value));
  const [rows, classes] = logits.dims;
  const shares = kept.dims.length === 2 ? kept : softmaxOf(p, logits);
  // The softmax has served when its one reader has read it.
  const inPlace = shares !== kept || p.soleReader(node.inputs[2]) === node;
  const out = inPlace ? p.bind(node.outputs[0], shares) : p.make(node.outputs[0]);
  const args = [shares, labels, weights, g, out, classes];
  p.push({ of: "loss", do: "kernel", name: "crossEntropyGradOfShares", args, split: rows });
}

function softmaxOf(p: Planner, logits: Window): Window {
  const shares = p.scratch(logits.dims);
  p.push({ of: "loss", do: "softmax", x: logits, y: shares });
  return shares;
}

function gather(p: Planner, node: NodeOf<"gather">): void {
  const [table, ids] = [p.stored(node.inputs[0]), p.window(node.inputs[1])];
  const [rows, width] = node.outputs[0].shape;
  const words = table.type === "bf16" ? width / 2 : width;
  const copied = p.scratch([rows, width], table.type);
  p.push({ of: "lookup", do: "kernel", name: "gatherRows", args: [table, ids, copied, words], split: rows });
  p.bind(node.outputs[0], copied);
}

/** To what is there already, where all that becomes of it is a sum with that: a tied head's gradient of the embeddings. */
function scatterAdd(p: Planner, node: NodeOf<"scatterAdd">): void {
  const [ids, updates] = node.inputs.map((value) => p.window(value));
  const [value] = node.outputs;
  const reader = p.soleReader(value);
  const other = reader?.op.name === ops.addOp.name ? reader.inputs.find(({ id }) => id !== value.id) : undefined;
  const there = reader === undefined || other === undefined ? undefined : p.changeable(other, reader);
  let out: Window;
  if (reader !== undefined && there !== undefined && sameShape(reader.outputs[0].shape, value.shape)) {
    out = p.bind(reader.outputs[0], there);
    p.skip(reader);
  } else {
    out = p.make(value);
  }
  const [rows, width] = out.dims;
  const args = [ids, updates, out, updates.dims[0], rows, width, out === there ? 0 : 1];
  p.push({ of: "lookup", do: "kernel", name: "scatterAddColumns", args, split: width });
}

function dropoutMask(p: Planner, node: NodeOf<"dropoutMask">): void {
  const { shape } = node.attrs;
  const { threshold, kept, stream } = ops.dropoutNumbers(node.attrs);
  // Whole groups of 32 elements are made, so there is room for the last one.
  const groups = Math.ceil(size(shape) / 32);
  const room = p.scratch([groups * 32]);
  p.bind(node.outputs[0], reshaped(room, shape));
  const args = [p.window(node.inputs[0]), room, threshold, kept, stream];
  p.push({ of: "elementwise", do: "kernel", name: "dropoutMaskBlocks", args, split: groups });
}

/** Two partial sums a tensor, whatever the number of threads, then the root of all. */
function globalNorm(p: Planner, node: NodeOf<"globalNorm">): void {
  const sums = p.scratch([2 * node.inputs.length]);
  node.inputs.forEach((input, i) => {
    const at = { ...sums, skip: 2 * i, dims: [2], strides: [1] };
    const args = [p.window(input), size(input.shape), at];
    p.push({ of: "optimizer", do: "kernel", name: "sumOfSquares", args, split: 2 });
  });
  const out = p.make(node.outputs[0]);
  p.push({ of: "optimizer", do: "kernel", name: "rootOfSums", args: [sums, node.inputs.length, out] });
}

/** In place on the engine's own tensors where the program lets it; else on copies. */
function adamw(p: Planner, node: NodeOf<"adamw">): void {
  const [param, grad, m, v, steps, clip, rate] = node.inputs;
  const { beta1, beta2, eps, decay } = node.attrs;
  const own = [param, m, v, steps].map((value, i) => {
    const from = p.window(value);
    const to = p.makeInPlace(node.outputs[i]);
    const same = "state" in from.base && "state" in to.base && from.base.state === to.base.state;
    if (!same) p.push({ of: "optimizer", do: "reorder", x: atLeastVector(from), y: atLeastVector(to) });
    return to;
  });
  const count = size(param.shape);
  p.push({
    of: "optimizer",
    do: "kernel",
    name: "adamwRange",
    args: [
      ...own.slice(0, 3),
      ...[grad, clip, rate].map((value) => p.window(value)),
      own[3],
      ...[beta1, beta2, eps, decay],
      count,
    ],
    split: Math.ceil(count / 16),
  });
  p.push({ of: "optimizer", do: "kernel", name: "addOne", args: [own[3]] });
}

export const training: Lowerings = {
  ...{ crossEntropy, crossEntropyGrad, gather, scatterAdd, dropoutMask, globalNorm, adamw },
};
