/** Gradients of composites as nodes of their own, by the names of what they take and give. */
import type { Builder, Value } from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";

type Named<K extends string> = Readonly<Record<K, Value>>;

export const geluGrad = (b: Builder, g: Value, x: Value, form: ops.GeluForm) =>
  b.apply(ops.geluGradOp, [g, x], { form })[0];

export const siluGrad = (b: Builder, g: Value, x: Value) => b.apply(ops.siluGradOp, [g, x], {})[0];

export function layerNormGrad(
  b: Builder,
  { g, x, gain, mean, rstd }: Named<"g" | "x" | "gain" | "mean" | "rstd">,
  wanted: ops.AttributesOf["layerNormGrad"],
) {
  const made = b.apply(ops.layerNormGradOp, [g, x, gain, mean, rstd], { x: wanted.x, affine: wanted.affine });
  const [dgain = null, dshift = null] = made.slice(wanted.x ? 1 : 0);
  return { dx: wanted.x ? made[0] : null, dgain, dshift };
}

export function rmsNormGrad(
  b: Builder,
  { g, x, gain, rrms }: Named<"g" | "x" | "gain" | "rrms">,
  wanted: ops.AttributesOf["rmsNormGrad"],
) {
  const made = b.apply(ops.rmsNormGradOp, [g, x, gain, rrms], { x: wanted.x, gain: wanted.gain });
  return { dx: wanted.x ? made[0] : null, dgain: wanted.gain ? made[wanted.x ? 1 : 0] : null };
}

export function attentionGrad(
  b: Builder,
  { g, q, k, v, out, probs, mask }: Named<"g" | "q" | "k" | "v" | "out" | "probs"> & { readonly mask?: Value },
  { heads, kvHeads = heads, scale }: { readonly heads: number; readonly kvHeads?: number; readonly scale: number },
) {
  const given = [g, q, k, v, out, probs, mask].filter((value) => value !== undefined);
  const [dq, dk, dv] = b.apply(ops.attentionGradOp, given, { heads, kvHeads, scale });
  return { dq, dk, dv };
}

export function crossEntropyGrad(
  b: Builder,
  { g, logits, logsumexp, labels, weights }: Named<"g" | "logits" | "logsumexp" | "labels" | "weights">,
) {
  return b.apply(ops.crossEntropyGradOp, [g, logits, logsumexp, labels, weights], {})[0];
}
