/** What a transformer block holds beside its products: norms, activations, attention, each with its gradient. */
import type { Node } from "../../../program/graph.ts";
import { optional } from "../../../program/ops/attention.ts";
import * as ops from "../../../program/ops/index.ts";
import type { Planner } from "../planner.ts";
import { transposed } from "../views.ts";
import { flag, headsOf, number, sameType } from "./shared.ts";

/** The variance is kept in place of its reciprocal root, which only the backward pass reads: that wants the variance. */
export function layerNorm(p: Planner, node: Node): void {
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

export function layerNormGrad(p: Planner, node: Node): void {
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

export function gelu(p: Planner, node: Node): void {
  const algorithm = node.attrs.form === "erf" ? "geluErf" : "geluTanh";
  const x = p.as(node.inputs[0], p.typeFor(node.outputs[0]));
  p.push({ of: "activation", do: "eltwise", algorithm, x, y: p.makeFor(node.outputs[0]), alpha: 0, beta: 0 });
}

export function geluGrad(p: Planner, node: Node): void {
  const algorithm = node.attrs.form === "erf" ? "geluErf" : "geluTanh";
  const [g, x] = node.inputs.map((value) => p.as(value, p.typeFor(node.outputs[0])));
  p.push({ of: "activation", do: "eltwiseBackward", algorithm, x, dy: g, dx: p.makeFor(node.outputs[0]) });
}

export function attention(p: Planner, node: Node): void {
  const heads = number(node, "heads");
  const [q, k, v] = node.inputs.slice(0, 3).map((value) => headsOf(p.part(value), heads));
  const causal = flag(node, "causal");
  const there = { bias: flag(node, "bias"), mask: flag(node, "mask"), apart: flag(node, "apart") };
  const { bias, mask: pattern, apart } = optional(node.inputs, there);
  const mask = pattern === undefined ? null : p.window(pattern);
  const [out, probs] = node.outputs;
  const [batch, , queries, keys] = probs.shape;
  const p4 = p.make(probs);
  const of = "attention";
  const scaled = { kind: "scale", factor: number(node, "scale") } as const;
  p.push({ of, do: "matmul", a: q, b: transposed(k), c: p4, after: [scaled] });
  if (causal || bias !== undefined || apart !== undefined) {
    const [added, ofQueries, ofKeys] = [bias, apart?.queries, apart?.keys].map((value) =>
      value === undefined ? null : p.window(value),
    );
    const args = [p4, keys, queries, Number(causal), added, heads * queries, ofQueries, ofKeys];
    p.push({ of, do: "kernel", name: "hideRows", args, split: batch * heads * queries });
  }
  p.push({ of, do: "softmax", x: p4, y: p4 });
  const dropped = mask === null ? p4 : p.scratch(probs.shape);
  if (mask !== null) p.push({ of, do: "binary", algorithm: "mul", x: p4, y: mask, z: dropped });
  const shares = sameType(p, dropped, v);
  p.push({ of, do: "matmul", a: shares, b: v, c: headsOf(p.makeFor(out), heads), after: [] });
}

export function attentionGrad(p: Planner, node: Node): void {
  const heads = number(node, "heads");
  const [g, out] = [node.inputs[0], node.inputs[4]].map((value) => p.window(value));
  const probs = p.window(node.inputs[5]);
  const mask = node.inputs.length > 6 ? p.window(node.inputs[6]) : null;
  const [dq, dk, dv] = node.outputs;
  const [batch, , queries, keys] = node.inputs[5].shape;
  const [g4, q4, k4, v4] = [0, 1, 2, 3].map((i) => headsOf(p.part(node.inputs[i]), heads));
  let dropped = probs;
  if (mask !== null) {
    dropped = p.scratch(probs.dims);
    p.push({ of: "attention", do: "binary", algorithm: "mul", x: probs, y: mask, z: dropped });
  }
  const of = "attention";
  const shares = sameType(p, dropped, g4);
  p.push({ of, do: "matmul", a: transposed(shares), b: g4, c: headsOf(p.makePart(dv), heads), after: [] });
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
  p.push({ of, do: "matmul", a: slopes, b: k4, c: headsOf(p.makePart(dq), heads), after: [] });
  p.push({ of, do: "matmul", a: transposed(slopes), b: q4, c: headsOf(p.makePart(dk), heads), after: [] });
}
