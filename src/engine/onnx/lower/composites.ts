/**
 * Composites that ONNX has an operator for, or that take fewer passes over memory than their expansions. The others
 * are expanded.
 */
import type { Emitter } from "../emitter.ts";
import type { Lowerings } from "./lowering.ts";

const last = { axis: { int: -1 } };

export const compositeLowerings: Lowerings = {
  softmax: (e, _node, [x]) => [e.node("Softmax", [x], last)],

  layerNorm: (e, { attrs, inputs }, [x, gain, shift]) => {
    const [rows] = inputs[0].shape;
    const attributes = { axis: { int: 1 }, epsilon: { float: attrs.eps } };
    const [y, mean, rstd] = e.nodes("LayerNormalization", [x, gain, shift], attributes, 3);
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
