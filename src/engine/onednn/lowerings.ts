/**
 * How each operation of a program becomes steps: one function an operation, in one table. Products, element-wise
 * functions and norms are oneDNN's; softmax, cross-entropy, lookups and the optimizer are our own row kernels
 * (kernels/); what training does not need often is done by the reference engine's kernels.
 *
 * A product takes with it what follows it, where nothing else reads its result: the addition of a residual or of
 * another gradient, and a factor. So a sum of gradients costs no pass over memory of its own.
 */
import { type Node, type Shape, sameShape, size, type Value } from "../../program/graph.ts";
import * as ops from "../../program/ops/index.ts";
import type { Planner } from "./planner.ts";
import { splitOf } from "./precision.ts";
import { denseStrides, transposed } from "./primitives.ts";
import type { AfterProduct, Algorithm, StepClass, Window } from "./steps.ts";

type Lowering = (p: Planner, node: Node) => void;

function number(node: Node, name: string): number {
  const value = node.attrs[name];
  if (typeof value !== "number") throw new Error(`${node.op.name} has no number ${name}`);
  return value;
}

function flag(node: Node, name: string): boolean {
  return node.attrs[name] === true;
}

/** The same memory under other extents. */
function reshaped(window: Window, dims: Shape): Window {
  return { ...window, dims, strides: denseStrides(dims) };
}

/** A vector as the row that is added to every row. */
function asRow(window: Window): Window {
  return reshaped(window, [1, size(window.dims)]);
}

/** Heads of [batch, length, width] side by side as [batch, heads, length, width / heads]. */
function headsOf(window: Window, heads: number): Window {
  const [batch, length, width] = window.dims;
  return {
    ...window,
    dims: [batch, heads, length, width / heads],
    strides: [length * width, width / heads, width, 1],
  };
}

/** Follows a product's result while one reader alone adds to it or scales it; binds the last result's window. */
function pushProduct(
  p: Planner,
  of: StepClass,
  a: Window,
  b: Window,
  value: Value,
  options: { bias?: Window; dims?: Shape } = {},
): void {
  const after: AfterProduct[] = [];
  let result = value;
  for (;;) {
    const reader = p.soleReader(result);
    if (reader === undefined) break;
    if (reader.op.name === ops.scaleOp.name) {
      after.push({ kind: "scale", factor: number(reader, "factor") });
    } else if (reader.op.name === ops.addOp.name && after.length < 4) {
      const other = reader.inputs[0].id === result.id ? reader.inputs[1] : reader.inputs[0];
      if (!sameShape(other.shape, result.shape) || other.id === result.id || !p.isMade(other)) break;
      after.push({ kind: "add", operand: reshaped(p.stored(other), options.dims ?? other.shape) });
    } else {
      break;
    }
    p.skip(reader);
    result = reader.outputs[0];
  }
  const window = p.makeFor(result);
  const c = options.dims === undefined ? window : reshaped(window, options.dims);
  p.push({ of, do: "matmul", a, b, c, bias: options.bias, after });
}

function unary(algorithm: Algorithm, alpha: (node: Node) => number = () => 0, beta = 0): Lowering {
  return (p, node) => {
    const type = algorithm === "linear" ? p.typeFor(node.outputs[0]) : "f32";
    const x = p.as(node.inputs[0], type);
    const y = type === "bf16" ? p.makeFor(node.outputs[0]) : p.makeInPlace(node.outputs[0]);
    p.push({ of: "elementwise", do: "eltwise", algorithm, x, y, alpha: alpha(node), beta });
  };
}

/** How often a shape repeats along the axes of another, with leading ones added. */
function padded(shape: Shape, rank: number): number[] {
  return [...new Array<number>(rank - shape.length).fill(1), ...shape];
}

/** oneDNN broadcasts the second operand alone; where the first has to be broadcast, sums and products are turned round. */
function binary(algorithm: "add" | "sub" | "mul" | "div"): Lowering {
  return (p, node) => {
    const [value] = node.outputs;
    let [x, y] = node.inputs;
    const rank = Math.max(1, value.shape.length);
    const full = (input: Value) => size(input.shape) === size(value.shape);
    if (!full(x) && full(y) && (algorithm === "add" || algorithm === "mul")) [x, y] = [y, x];
    if (!full(x)) {
      reference(p, node);
      return;
    }
    const dims = padded(value.shape, rank);
    // A sum or product whose result is bf16 reads its operands as they are stored: a dropout pattern stays f32.
    const half = p.typeFor(value) === "bf16" && (algorithm === "add" || algorithm === "mul");
    const read = (input: Value) => (half ? p.stored(input) : p.window(input));
    const xw = reshaped(read(x), dims);
    const yw = reshaped(read(y), padded(y.shape, rank));
    const z = reshaped(half ? p.makeFor(value) : p.makeInPlace(value), dims);
    p.push({ of: "elementwise", do: "binary", algorithm, x: xw, y: yw, z });
  };
}

/** Another name for the same memory. */
function rename(p: Planner, node: Node): void {
  p.bind(node.outputs[0], reshaped(p.stored(node.inputs[0]), node.outputs[0].shape));
}

function reference(p: Planner, node: Node): void {
  const inputs = node.inputs.map((value) => ({
    type: { dtype: value.dtype, shape: value.shape },
    window: p.window(value),
  }));
  const [value] = node.outputs;
  const output = { type: { dtype: value.dtype, shape: value.shape }, window: p.make(value) };
  p.push({ of: "elementwise", do: "reference", op: node.op.name, attrs: node.attrs, inputs, output });
}

/**
 * A sum over the leading axes, or over the last ones, is a product with a row (column) of ones: many times faster than
 * oneDNN's reduction.
 */
function reduceSum(p: Planner, node: Node): void {
  const [x] = node.inputs;
  const [value] = node.outputs;
  const split = splitOf(node);
  if (split === undefined) {
    reference(p, node);
    return;
  }
  const stored = p.stored(x);
  const { rows, width, overRows } = split;
  const matrix = reshaped(stored, [rows, width]);
  const ones = p.ones(overRows ? [1, rows] : [width, 1], stored.type);
  const [a, b] = overRows ? [ones, matrix] : [matrix, ones];
  pushProduct(p, "product", a, b, value, { dims: overRows ? [1, width] : [rows, 1] });
}

function matmul(p: Planner, node: Node): void {
  const [x, y] = node.inputs;
  const [value] = node.outputs;
  const rank = x.shape.length;
  const turn = (window: Window, turned: boolean) => (turned ? transposed(window) : window);
  let a = turn(p.operand(x), flag(node, "transposeX"));
  let b = p.operand(y);
  let dims: Shape | undefined;
  if (rank > 2 && y.shape.length === 2) {
    if (flag(node, "transposeX")) {
      // One matrix shared by all products of a batch: it repeats along the leading dimensions.
      b = reshaped(b, padded(y.shape, rank));
    } else {
      const rows = size(value.shape) / value.shape[rank - 1];
      a = reshaped(p.operand(x), [rows, x.shape[rank - 1]]);
      dims = [rows, value.shape[rank - 1]];
    }
  }
  pushProduct(p, "product", a, turn(b, flag(node, "transposeY")), value, { dims });
}

function linear(p: Planner, node: Node): void {
  const [x, w, bias] = node.inputs;
  const weight = flag(node, "transposeWeight") ? transposed(p.operand(w)) : p.operand(w);
  const row = bias === undefined ? undefined : asRow(p.window(bias));
  pushProduct(p, "product", p.operand(x), weight, node.outputs[0], { bias: row });
}

/** The variance is kept in place of its reciprocal root, which only the backward pass reads: that wants the variance. */
function layerNorm(p: Planner, node: Node): void {
  const [x, gain, shift] = node.inputs;
  const [y, mean, rstd] = node.outputs;
  const eps = number(node, "eps");
  const variance = p.scratch(rstd.shape);
  // 2.x has norms of one type only: in f32 where the input is, the result cast where its readers want it.
  const input = p.stored(x);
  const type = p.typeFor(y);
  const exact = input.type === type ? undefined : p.scratch(y.shape, input.type);
  const result = p.makeFor(y);
  p.push({
    of: "norm",
    do: "layerNorm",
    x: input,
    y: exact ?? result,
    mean: p.make(mean),
    variance,
    gain: p.window(gain),
    shift: p.window(shift),
    eps,
  });
  if (exact !== undefined) p.push({ of: "cast", do: "reorder", x: exact, y: result });
  if (p.readOnlyBy(rstd, ops.layerNormGradOp.name)) {
    p.bind(rstd, variance);
    return;
  }
  // Somebody wants to see it: both then read the real one, and the backward pass its variance again from that.
  const out = p.make(rstd);
  p.push({ of: "norm", do: "eltwise", algorithm: "linear", x: variance, y: out, alpha: 1, beta: eps });
  p.push({ of: "norm", do: "eltwise", algorithm: "pow", x: out, y: out, alpha: 1, beta: -0.5 });
}

function layerNormGrad(p: Planner, node: Node): void {
  const [g, x, gain, mean, rstd] = node.inputs;
  const wanted = [...node.outputs];
  const dx = flag(node, "x") ? wanted.shift() : undefined;
  const [dgain, dshift] = wanted;
  const width = gain.shape;
  const norm = p.program.nodes.find((other) => other.outputs.some((output) => output.id === rstd.id));
  if (norm === undefined || norm.op.name !== ops.layerNormOp.name) {
    throw new Error("a norm's backward pass needs its forward pass in the same program");
  }
  let variance = p.window(rstd);
  if (!p.readOnlyBy(rstd, ops.layerNormGradOp.name)) {
    const again = p.scratch(rstd.shape);
    p.push({ of: "norm", do: "eltwise", algorithm: "pow", x: variance, y: again, alpha: 1, beta: -2 });
    p.push({
      of: "norm",
      do: "eltwise",
      algorithm: "linear",
      x: again,
      y: again,
      alpha: 1,
      beta: -number(norm, "eps"),
    });
    variance = again;
  }
  const input = p.stored(x);
  const exact = dx === undefined || p.typeFor(dx) !== input.type ? p.scratch(x.shape, input.type) : undefined;
  const result = dx === undefined ? undefined : p.makeFor(dx);
  const into = exact ?? result;
  if (into === undefined) throw new Error("layerNormGrad");
  p.push({
    of: "norm",
    do: "layerNormBackward",
    x: input,
    dy: p.as(g, input.type),
    dx: into,
    mean: p.window(mean),
    variance,
    gain: p.window(gain),
    shift: p.window(gain),
    dgain: dgain === undefined ? p.scratch(width) : p.make(dgain),
    dshift: dshift === undefined ? p.scratch(width) : p.make(dshift),
    eps: number(norm, "eps"),
  });
  if (exact !== undefined && result !== undefined) p.push({ of: "cast", do: "reorder", x: exact, y: result });
}

function gelu(p: Planner, node: Node): void {
  const algorithm = node.attrs.form === "erf" ? "geluErf" : "geluTanh";
  const x = p.as(node.inputs[0], p.typeFor(node.outputs[0]));
  p.push({ of: "activation", do: "eltwise", algorithm, x, y: p.makeFor(node.outputs[0]), alpha: 0, beta: 0 });
}

function geluGrad(p: Planner, node: Node): void {
  const algorithm = node.attrs.form === "erf" ? "geluErf" : "geluTanh";
  const [g, x] = node.inputs.map((value) => p.as(value, p.typeFor(node.outputs[0])));
  p.push({ of: "activation", do: "eltwiseBackward", algorithm, x, dy: g, dx: p.makeFor(node.outputs[0]) });
}

function attention(p: Planner, node: Node): void {
  const heads = number(node, "heads");
  const [q, k, v] = node.inputs.slice(0, 3).map((value) => headsOf(p.operand(value), heads));
  const bias = flag(node, "bias") ? p.window(node.inputs[3]) : null;
  const mask = flag(node, "mask") ? p.window(node.inputs[bias === null ? 3 : 4]) : null;
  const [out, probs] = node.outputs;
  const [batch, , queries, keys] = probs.shape;
  const p4 = p.make(probs);
  const dropped = mask === null ? null : p.scratch(probs.shape);
  p.push({ of: "attention", do: "matmul", a: q, b: transposed(k), c: p4, after: [] });
  p.push({
    of: "attention",
    do: "kernel",
    name: "softmaxRows",
    args: [
      p4,
      keys,
      queries,
      number(node, "scale"),
      Number(flag(node, "causal")),
      bias,
      heads * queries,
      mask,
      dropped,
    ],
    split: batch * heads * queries,
  });
  const shares = sameType(p, dropped ?? p4, v);
  p.push({ of: "attention", do: "matmul", a: shares, b: v, c: headsOf(p.makeFor(out), heads), after: [] });
}

/** A window's numbers in the type of another: the operands of a product have one type. */
function sameType(p: Planner, window: Window, other: Window): Window {
  if (window.type === other.type) return window;
  const cast = p.scratch(window.dims, other.type);
  p.push({ of: "cast", do: "reorder", x: window, y: cast });
  return cast;
}

function attentionGrad(p: Planner, node: Node): void {
  const heads = number(node, "heads");
  const [g, out] = [node.inputs[0], node.inputs[4]].map((value) => p.window(value));
  const probs = p.window(node.inputs[5]);
  const mask = node.inputs.length > 6 ? p.window(node.inputs[6]) : null;
  const [dq, dk, dv] = node.outputs;
  const [batch, , queries, keys] = node.inputs[5].shape;
  const [g4, q4, k4, v4] = [0, 1, 2, 3].map((i) => headsOf(p.operand(node.inputs[i]), heads));
  let dropped = probs;
  if (mask !== null) {
    dropped = p.scratch(probs.dims);
    p.push({ of: "attention", do: "binary", algorithm: "mul", x: probs, y: mask, z: dropped });
  }
  const of = "attention";
  const shares = sameType(p, dropped, g4);
  p.push({ of, do: "matmul", a: transposed(shares), b: g4, c: headsOf(p.makeFor(dv), heads), after: [] });
  const scores = p.scratch(probs.dims);
  p.push({ of, do: "matmul", a: g4, b: transposed(v4), c: scores, after: [] });
  p.push({
    of,
    do: "kernel",
    name: "softmaxGradRows",
    args: [scores, probs, mask, g, out, keys, queries, heads, g4.dims[3], number(node, "scale")],
    split: batch * heads * queries,
  });
  const slopes = sameType(p, scores, k4);
  p.push({ of, do: "matmul", a: slopes, b: k4, c: headsOf(p.makeFor(dq), heads), after: [] });
  p.push({ of, do: "matmul", a: transposed(slopes), b: q4, c: headsOf(p.makeFor(dk), heads), after: [] });
}

function crossEntropy(p: Planner, node: Node): void {
  const [logits, labels, weights] = node.inputs.map((value) => p.window(value));
  const [loss, logsumexp] = node.outputs;
  const [rows, classes] = logits.dims;
  const losses = p.scratch([rows]);
  p.push({
    of: "loss",
    do: "kernel",
    name: "crossEntropyRows",
    args: [logits, labels, weights, p.make(logsumexp), losses, classes],
    split: rows,
  });
  p.push({ of: "loss", do: "kernel", name: "sumInOrder", args: [losses, rows, p.make(loss)] });
}

function crossEntropyGrad(p: Planner, node: Node): void {
  const [g, logits, logsumexp, labels, weights] = node.inputs.map((value) => p.window(value));
  const [rows, classes] = logits.dims;
  const out = p.make(node.outputs[0]);
  p.push({
    of: "loss",
    do: "kernel",
    name: "crossEntropyGradRows",
    args: [logits, labels, weights, logsumexp, g, out, classes],
    split: rows,
  });
}

function gather(p: Planner, node: Node): void {
  const [table, ids] = [p.stored(node.inputs[0]), p.window(node.inputs[1])];
  const [rows, width] = node.outputs[0].shape;
  const words = table.type === "bf16" ? width / 2 : width;
  const copied = p.scratch([rows, width], table.type);
  p.push({ of: "lookup", do: "kernel", name: "gatherRows", args: [table, ids, copied, words], split: rows });
  p.bind(node.outputs[0], copied);
}

function scatterAdd(p: Planner, node: Node): void {
  const [ids, updates] = node.inputs.map((value) => p.window(value));
  const out = p.make(node.outputs[0]);
  const [rows, width] = out.dims;
  const args = [ids, updates, out, updates.dims[0], rows, width];
  p.push({ of: "lookup", do: "kernel", name: "scatterAddColumns", args, split: width });
}

function dropoutMask(p: Planner, node: Node): void {
  const { shape, rate, stream } = node.attrs;
  if (!Array.isArray(shape) || typeof rate !== "number" || typeof stream !== "string") throw new Error("dropoutMask");
  const { threshold, kept, stream: id } = ops.dropoutNumbers({ shape, rate, stream });
  // Whole groups of 32 elements are made, so there is room for the last one.
  const groups = Math.ceil(size(shape) / 32);
  const room = p.scratch([groups * 32]);
  p.bind(node.outputs[0], reshaped(room, shape));
  const args = [p.window(node.inputs[0]), room, threshold, kept, id];
  p.push({ of: "elementwise", do: "kernel", name: "dropoutMaskBlocks", args, split: groups });
}

/** Two partial sums a tensor, whatever the number of threads, then the root of all. */
function globalNorm(p: Planner, node: Node): void {
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
function adamw(p: Planner, node: Node): void {
  const [param, grad, m, v, steps, clip, rate] = node.inputs;
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
      ...["beta1", "beta2", "eps", "decay"].map((name) => number(node, name)),
      count,
    ],
    split: Math.ceil(count / 16),
  });
  p.push({ of: "optimizer", do: "kernel", name: "addOne", args: [own[3]] });
}

function atLeastVector(window: Window): Window {
  return window.dims.length === 0 ? reshaped(window, [1]) : window;
}

function constant(p: Planner, node: Node): void {
  p.push({ of: "elementwise", do: "fill", x: p.make(node.outputs[0]), value: number(node, "value") });
}

function transpose(p: Planner, node: Node): void {
  const [value] = node.outputs;
  const perm = node.attrs.perm;
  const x = p.window(node.inputs[0]);
  if (!Array.isArray(perm)) throw new Error("transpose");
  const dims = perm.map((axis: number) => x.dims[axis]);
  const strides = perm.map((axis: number) => x.strides[axis]);
  p.push({ of: "elementwise", do: "reorder", x: { ...x, dims, strides }, y: p.make(value) });
}

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
  [ops.matmulOp.name, matmul],
  [ops.linearOp.name, linear],
  [ops.reduceSumOp.name, reduceSum],
  [ops.layerNormOp.name, layerNorm],
  [ops.layerNormGradOp.name, layerNormGrad],
  [ops.geluOp.name, gelu],
  [ops.geluGradOp.name, geluGrad],
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
    ops.concatOp,
    ops.broadcastToOp,
    ops.reduceMaxOp,
    ops.argmaxOp,
    ops.oneHotOp,
    ops.causalBiasOp,
  ].map((op): [string, Lowering] => [op.name, reference]),
]);
