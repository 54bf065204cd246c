/** What a transformer block holds beside its products: norms, activations, attention, each with its gradient. */
import type { Attributes } from "../../../program/graph.ts";
import type { NodeOf } from "../../../program/ops/index.ts";
import * as ops from "../../../program/ops/index.ts";
import type { Algorithm } from "../library.ts";
import type { Planner } from "../planner.ts";
import type { Lowering, Lowerings } from "./shared.ts";

/** The variance is kept in place of its reciprocal root, which only the backward pass reads: that wants the variance. */
function layerNorm(p: Planner, node: NodeOf<"layerNorm">): void {
  const [x, gain, shift] = node.inputs;
  const [y, mean, rstd] = node.outputs;
  const eps = node.attrs.eps;
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

function layerNormGrad(p: Planner, node: NodeOf<"layerNormGrad">): void {
  const [g, x, gain, mean, rstd] = node.inputs;
  const wanted = [...node.outputs];
  const dx = node.attrs.x ? wanted.shift() : undefined;
  const [dgain, dshift] = wanted;
  const width = gain.shape;
  const norm = p.program.nodes.find((other) => other.outputs.some((output) => output.id === rstd.id));
  if (norm === undefined || !ops.isOf("layerNorm", norm)) {
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
      beta: -norm.attrs.eps,
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
    eps: norm.attrs.eps,
  });
  if (exact !== undefined && result !== undefined) p.push({ of: "cast", do: "reorder", x: exact, y: result });
}

type Activation = { readonly algorithm: Algorithm; readonly alpha: number };

const geluOf = ({ form }: ops.AttributesOf["gelu"]): Activation => ({
  algorithm: form === "erf" ? "geluErf" : "geluTanh",
  alpha: 0,
});
/** oneDNN's swish is x·σ(alpha·x). */
const siluOf = (): Activation => ({ algorithm: "swish", alpha: 1 });

const activation =
  <A extends Attributes>(of: (attrs: A) => Activation): Lowering<A> =>
  (p, node) => {
    const x = p.as(node.inputs[0], p.typeFor(node.outputs[0]));
    p.push({ of: "activation", do: "eltwise", ...of(node.attrs), x, y: p.makeFor(node.outputs[0]), beta: 0 });
  };

const activationGrad =
  <A extends Attributes>(of: (attrs: A) => Activation): Lowering<A> =>
  (p, node) => {
    const [g, x] = node.inputs.map((value) => p.as(value, p.typeFor(node.outputs[0])));
    p.push({ of: "activation", do: "eltwiseBackward", ...of(node.attrs), x, dy: g, dx: p.makeFor(node.outputs[0]) });
  };

export const blocks: Lowerings = {
  layerNorm,
  layerNormGrad,
  ...{ gelu: activation(geluOf), geluGrad: activationGrad(geluOf) },
  ...{ silu: activation(siluOf), siluGrad: activationGrad(siluOf) },
};
