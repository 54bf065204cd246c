/**
 * Composites that ONNX has an operator for, or that take fewer passes over memory than their expansions. The others
 * are expanded.
 */

import type { Shape } from "../../../program/graph.ts";
import { type AttributesOf, bandOf, HIDDEN, optional as optionalOf } from "../../../program/ops/index.ts";
import type { Emitter } from "../emitter.ts";
import type { Lowerings } from "./lowering.ts";
import { hideOutside, multiply } from "./primitives.ts";

const last = { axis: { int: -1 } };

export const compositeLowerings: Lowerings = {
  linear: (e, { attrs }, [x, w, bias]) => {
    const product = multiply(e, x, w, false, attrs.transposeWeight);
    return [bias === undefined ? product : e.node("Add", [product, bias])];
  },

  softmax: (e, _node, [x]) => [e.node("Softmax", [x], last)],

  layerNorm: (e, { attrs, inputs }, [x, gain, shift]) => {
    const [rows] = inputs[0].shape;
    const [y, mean, rstd] = normalise(e, x, gain, shift, attrs.eps);
    return [y, e.reshape(mean, [rows]), e.reshape(rstd, [rows])];
  },

  gelu: (e, { attrs }, [x]) => [
    e.node("Gelu", [x], { approximate: { string: attrs.form === "erf" ? "none" : "tanh" } }),
  ],

  geluGrad: (e, { attrs }, [g, x]) => [
    e.node("Mul", [g, attrs.form === "erf" ? geluSlope(e, x) : geluTanhSlope(e, x)]),
  ],

  silu: (e, _node, [x]) => [e.node("Mul", [x, e.node("Sigmoid", [x])])],

  siluGrad: (e, _node, [g, x]) => {
    const share = e.node("Sigmoid", [x]);
    const rest = e.node("Mul", [x, e.node("Sub", [e.real([1]), share])]);
    return [e.node("Mul", [g, e.node("Mul", [share, e.node("Add", [rest, e.real([1])])])])];
  },

  attention: (e, { attrs, inputs }, [q, k, v, ...optional]) => {
    const form = headsIn(attrs, inputs[0].shape, inputs[1].shape);
    const { batch, queries, keys, heads, kvHeads, group, perHead } = form;
    const { bias, mask, apart } = optionalOf([q, k, v, ...optional], attrs);
    const [queryHeads, keyHeads, valueHeads] = [asQueries(e, q, form), asKeys(e, k, form), asKeys(e, v, form)];
    let scores = multiply(e, queryHeads, keyHeads, false, true, attrs.scale);
    if (group > 1) scores = e.reshape(scores, [batch, heads, queries, keys]);
    if (bias !== undefined) scores = e.node("Add", [scores, e.reshape(bias, [batch, 1, 1, keys])]);
    const band = bandOf(attrs, keys);
    if (band !== undefined) scores = e.node("Add", [scores, hideOutside(e, queries, keys, band)]);
    if (apart !== undefined) {
      const own = e.node("Equal", [
        e.reshape(apart.queries, [batch, 1, queries, 1]),
        e.reshape(apart.keys, [batch, 1, 1, keys]),
      ]);
      scores = e.node("Add", [scores, e.node("Where", [own, e.real([0]), e.real([HIDDEN])])]);
    }
    const probs = e.node("Softmax", [scores], last);
    const weights = mask === undefined ? probs : e.node("Mul", [probs, mask]);
    const shares = group === 1 ? weights : e.reshape(weights, [batch, kvHeads, group * queries, keys]);
    let read = e.node("MatMul", [shares, valueHeads]);
    if (group > 1) read = e.reshape(read, [batch, heads, queries, perHead]);
    return [joinHeads(e, read, batch, queries, heads * perHead), probs];
  },

  attentionGrad: (e, { attrs, inputs }, [g, q, k, v, out, probs, mask]) => {
    const form = headsIn(attrs, inputs[0].shape, inputs[2].shape);
    const { batch, queries, keys, heads, kvHeads, group, perHead } = form;
    const { scale } = attrs;
    const masked = (value: string) => (mask === undefined ? value : e.node("Mul", [value, mask]));
    const byKeys = (value: string, n: number) =>
      group === 1 ? value : e.reshape(value, [batch, kvHeads, group * queries, n]);
    const byHeads = (value: string, n: number) => (group === 1 ? value : e.reshape(value, [batch, heads, queries, n]));
    const gHeads = asQueries(e, g, form);
    const dv = multiply(e, byKeys(masked(probs), keys), gHeads, true, false);
    const dProbs = masked(byHeads(multiply(e, gHeads, asKeys(e, v, form), false, true), keys));
    const products = e.reshape(e.node("Mul", [g, out]), [batch, queries, heads, perHead]);
    const sums = e.node("ReduceSum", [products, e.longs([3])], { keepdims: { int: 1 } });
    const rows = e.transpose(sums, [0, 2, 1, 3]);
    const dScores = byKeys(e.node("Mul", [probs, e.node("Sub", [dProbs, rows])]), keys);
    const dq = byHeads(multiply(e, dScores, asKeys(e, k, form), false, false, scale), perHead);
    const dk = multiply(e, dScores, asQueries(e, q, form), true, false, scale);
    const join = (value: string) => joinHeads(e, value, batch, keys, kvHeads * perHead);
    return [joinHeads(e, dq, batch, queries, heads * perHead), join(dk), join(dv)];
  },

  crossEntropy: (e, { inputs }, [logits, labels, weights]) => {
    const [rows] = inputs[0].shape;
    const column = e.reshape(labels, [rows, 1]);
    const logs = e.node("LogSoftmax", [logits], last);
    const chosenLog = e.node("GatherElements", [logs, column], { axis: { int: 1 } });
    const chosen = e.node("GatherElements", [logits, column], { axis: { int: 1 } });
    const losses = e.node("Mul", [e.reshape(chosenLog, [rows]), weights]);
    const loss = e.node("Neg", [e.node("ReduceSum", [losses, e.longs([0])], { keepdims: { int: 0 } })]);
    return [loss, e.reshape(e.node("Sub", [chosen, chosenLog]), [rows])];
  },

  crossEntropyGrad: (e, { inputs }, [g, logits, , labels, weights]) => {
    const [rows] = inputs[1].shape;
    const factor = e.reshape(e.node("Mul", [weights, g]), [rows, 1]);
    const softmax = e.node("Mul", [e.node("Softmax", [logits], last), factor]);
    const column = e.reshape(labels, [rows, 1]);
    return [
      e.node("ScatterElements", [softmax, column, e.node("Neg", [factor])], {
        axis: { int: 1 },
        reduction: { string: "add" },
      }),
    ];
  },
};

/** ½(1 + x) in one pass, for x from −1 to 1: the ends that HardSigmoid has are never passed. */
const half = (e: Emitter, x: string) => e.node("HardSigmoid", [x], { alpha: { float: 0.5 }, beta: { float: 0.5 } });

/**
 * Φ(x) + x·φ(x). With u = x/√2, Φ is ½(1 + erf u) and x·φ(x) is u / e^(u²) / √π: where the power is too large for f32
 * the quotient is the 0 it should be.
 */
function geluSlope(e: Emitter, x: string): string {
  const u = e.node("Mul", [x, e.real([Math.SQRT1_2])]);
  const density = e.node("Div", [u, e.node("Exp", [e.node("Mul", [u, u])])]);
  const tail = e.node("Mul", [density, e.real([1 / Math.sqrt(Math.PI)])]);
  return e.node("Add", [half(e, e.node("Erf", [u])), tail]);
}

/** ½(1 + t) + ½x(1 − t²)u′, where t = tanh u, u = √(2/π)(x + 0.044715x³), u′ its derivative. */
function geluTanhSlope(e: Emitter, x: string): string {
  const factor = Math.sqrt(2 / Math.PI);
  const square = e.node("Mul", [x, x]);
  /** x·(a·x² + b). */
  const odd = (a: number, b: number) =>
    e.node("Mul", [x, e.node("Add", [e.node("Mul", [square, e.real([a])]), e.real([b])])]);
  const t = e.node("Tanh", [odd(factor * 0.044715, factor)]);
  const steep = e.node("Sub", [e.real([1]), e.node("Mul", [t, t])]);
  return e.node("Add", [half(e, t), e.node("Mul", [steep, odd(1.5 * factor * 0.044715, 0.5 * factor)])]);
}

/** Layer normalisation of rows: y, mean and reciprocal standard deviation, the latter two [N, 1]. */
export function normalise(e: Emitter, x: string, gain: string, shift: string, eps: number): readonly string[] {
  return e.nodes("LayerNormalization", [x, gain, shift], { axis: { int: 1 }, epsilon: { float: eps } }, 3);
}

/** How the heads of an attention lie: groups of `group` heads read one key-value head. */
function headsIn({ heads, kvHeads }: AttributesOf["attentionGrad"], ofQueries: Shape, ofKeys: Shape) {
  const [batch, queries, width] = ofQueries;
  return { batch, queries, keys: ofKeys[1], heads, kvHeads, group: heads / kvHeads, perHead: width / heads };
}
type Heads = ReturnType<typeof headsIn>;

/** [B, Tk, kvHeads · d] → [B, kvHeads, Tk, d]. */
function asKeys(e: Emitter, x: string, { batch, keys, kvHeads, perHead }: Heads): string {
  return e.transpose(e.reshape(x, [batch, keys, kvHeads, perHead]), [0, 2, 1, 3]);
}

/** [B, Tq, heads · d] → [B, kvHeads, group · Tq, d]: the queries of heads that share keys, one after the other. */
function asQueries(e: Emitter, x: string, { batch, queries, heads, kvHeads, group, perHead }: Heads): string {
  const split = e.transpose(e.reshape(x, [batch, queries, heads, perHead]), [0, 2, 1, 3]);
  return group === 1 ? split : e.reshape(split, [batch, kvHeads, group * queries, perHead]);
}

/** [B, heads, T, d] → [B, T, heads · d]. */
function joinHeads(e: Emitter, x: string, batch: number, length: number, width: number): string {
  return e.reshape(e.transpose(x, [0, 2, 1, 3]), [batch, length, width]);
}
