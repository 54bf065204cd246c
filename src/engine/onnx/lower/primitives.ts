/** Primitives in ONNX, one or two nodes each. */
import { size } from "../../../program/graph.ts";
import { type AttributesOf, HIDDEN, rotationNumbers } from "../../../program/ops/index.ts";
import { type Emitter, onnxType } from "../emitter.ts";
import type { Lowering, Lowerings } from "./lowering.ts";

/** An operator that takes the inputs as they are. */
const plain =
  (op: string): Lowering =>
  (e, _node, inputs) => [e.node(op, inputs)];

const reduction =
  (op: string): Lowering<AttributesOf["reduceSum"]> =>
  (e, { attrs }, [x]) => [e.node(op, [x, e.longs(attrs.axes)], { keepdims: { int: attrs.keep ? 1 : 0 } })];

/** onnxruntime's own: it takes its operands transposed, and a factor. */
const MATMUL = "com.microsoft.FusedMatMul";

const cast = (e: Emitter, x: string, to: number) => e.node("Cast", [x], { to: { int: to } });

export const primitiveLowerings: Lowerings = {
  add: plain("Add"),
  sub: plain("Sub"),
  mul: plain("Mul"),
  div: plain("Div"),
  neg: plain("Neg"),
  exp: plain("Exp"),
  log: plain("Log"),
  sqrt: plain("Sqrt"),
  tanh: plain("Tanh"),
  erf: plain("Erf"),
  relu: plain("Relu"),
  recip: plain("Reciprocal"),
  positive: (e, _node, [x]) => [cast(e, e.node("Greater", [x, e.real([0])]), onnxType.float)],
  // A product takes a factor with it.
  scale: (e, { attrs }, [x]) => {
    const { op = "", inputs = [], attributes = {} } = e.maker(x) ?? {};
    if (op !== MATMUL && op !== "MatMul") return [e.node("Mul", [x, e.real([attrs.factor])])];
    return [e.node(MATMUL, inputs, { ...attributes, alpha: { float: attrs.factor } })];
  },
  constant: (e, { attrs }) => [e.filled(attrs.value, attrs.shape)],
  equal: (e, _node, inputs) => [cast(e, e.node("Equal", inputs), onnxType.float)],
  stopGradient: (_e, _node, inputs) => inputs,
  matmul: (e, { attrs: { transposeX, transposeY } }, inputs) => {
    const turned = { transA: { int: transposeX ? 1 : 0 }, transB: { int: transposeY ? 1 : 0 } };
    return [transposeX || transposeY ? e.node(MATMUL, inputs, turned) : e.node("MatMul", inputs)];
  },
  reshape: (e, { outputs }, [x]) => [e.reshape(x, outputs[0].shape)],
  transpose: (e, { attrs }, [x]) => [e.transpose(x, attrs.perm)],
  slice: (e, { attrs }, [x]) => {
    const [start, end, axis] = [attrs.start, attrs.end, attrs.axis].map((number) => e.longs([number]));
    return [e.node("Slice", [x, start, end, axis])];
  },
  pad: (e, { attrs, inputs }, [x]) => {
    const { shape, dtype } = inputs[0];
    const along = (count: number) => shape.map((_, axis) => (axis === attrs.axis ? count : 0));
    const pads = e.longs([...along(attrs.before), ...along(attrs.after)]);
    return [e.node("Pad", [x, pads, dtype === "f32" ? e.real([0]) : e.index([0], [])])];
  },
  concat: (e, { attrs }, inputs) => [e.node("Concat", inputs, { axis: { int: attrs.axis } })],
  broadcastTo: (e, { attrs }, [x]) => [e.node("Expand", [x, e.longs(attrs.shape)])],
  reduceSum: reduction("ReduceSum"),
  reduceMax: reduction("ReduceMax"),
  argmax: (e, { inputs }, [x]) => {
    const axis = inputs[0].shape.length - 1;
    return [cast(e, e.node("ArgMax", [x], { axis: { int: axis }, keepdims: { int: 0 } }), onnxType.int32)];
  },
  gather: plain("Gather"),
  // ScatterND adds repeated ids in an order that changes from run to run; ScatterElements goes through them in turn.
  scatterAdd: (e, { attrs, inputs }, [ids, updates]) => {
    const [count, width] = inputs[1].shape;
    const everywhere = e.node("Expand", [e.reshape(ids, [count, 1]), e.longs([count, width])]);
    const zeros = e.filled(0, [attrs.rows, width]);
    return [
      e.node("ScatterElements", [zeros, everywhere, updates], { axis: { int: 0 }, reduction: { string: "add" } }),
    ];
  },
  oneHot: (e, { attrs, inputs }, [ids]) => {
    const depth = attrs.depth;
    const columns = e.index([...Array(depth).keys()], [1, depth]);
    return [cast(e, e.node("Equal", [e.reshape(ids, [size(inputs[0].shape), 1]), columns]), onnxType.float)];
  },
  rotations: (e, { attrs, outputs }) => {
    return [e.real([...rotationNumbers(attrs)], outputs[0].shape)];
  },

  bandBias: (e, { attrs: { rows, cols, before, after } }) => {
    const hidden = e.filled(HIDDEN, [rows, cols]);
    const side = (from: number, upper: number) => e.node("Trilu", [hidden, e.long(from)], { upper: { int: upper } });
    const sides = [
      ...(after < cols - 1 ? [side(cols - rows + after + 1, 1)] : []),
      ...(before < cols - 1 ? [side(cols - rows - before - 1, 0)] : []),
    ];
    return [sides.length === 2 ? e.node("Add", sides) : (sides[0] ?? e.filled(0, [rows, cols]))];
  },
};
