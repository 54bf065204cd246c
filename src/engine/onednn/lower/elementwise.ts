/** Element-wise functions, and operations that only move or rename. */

import { type Attributes, type Node, size, type Value } from "../../../program/graph.ts";
import type { NodeOf } from "../../../program/ops/index.ts";
import type { Algorithm } from "../library.ts";
import type { Planner } from "../planner.ts";
import type { Window } from "../steps.ts";
import { restrided, subWindow } from "../views.ts";
import { type Lowering, type Lowerings, padded, reference, reshaped } from "./shared.ts";

function unary<A extends Attributes>(
  algorithm: Algorithm,
  alpha: (attrs: A) => number = () => 0,
  beta = 0,
): Lowering<A> {
  return (p, node) => {
    const type = algorithm === "linear" ? p.typeFor(node.outputs[0]) : "f32";
    const x = p.as(node.inputs[0], type);
    const y = type === "bf16" ? p.makeFor(node.outputs[0]) : p.makeInPlace(node.outputs[0]);
    p.push({ of: "elementwise", do: "eltwise", algorithm, x, y, alpha: alpha(node.attrs), beta });
  };
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
  const [value] = node.outputs;
  p.bind(value, restrided(p.view(node.inputs[0]), value.shape) ?? reshaped(p.stored(node.inputs[0]), value.shape));
}

/** Parts that are read where they are. */
function split(p: Planner, node: NodeOf<"split">): void {
  const { axis } = node.attrs;
  const whole = p.view(node.inputs[0]);
  node.outputs.forEach((value, i) => {
    const extent = value.shape[axis];
    p.bind(value, subWindow(whole, axis, i * extent, extent));
  });
}

/** Parts that were made in their place, and copies of those that were not. */
function concat(p: Planner, node: NodeOf<"concat">): void {
  node.inputs.forEach((input, i) => {
    const [from, to] = [p.view(input), p.placeIn(node, i)];
    if (!sameMemory(from, to)) p.push({ of: "elementwise", do: "reorder", x: from, y: to });
  });
  p.bindWhole(node);
}

function sameMemory(a: Window, b: Window): boolean {
  const inBuffer = "buffer" in a.base && "buffer" in b.base && a.base.buffer === b.base.buffer;
  return inBuffer && a.skip === b.skip;
}

function constant(p: Planner, node: NodeOf<"constant">): void {
  p.push({ of: "elementwise", do: "fill", x: p.make(node.outputs[0]), value: node.attrs.value });
}

function transpose(p: Planner, node: NodeOf<"transpose">): void {
  const [value] = node.outputs;
  const x = p.window(node.inputs[0]);
  const [dims, strides] = [x.dims, x.strides].map((of) => node.attrs.perm.map((axis) => of[axis]));
  p.push({ of: "elementwise", do: "reorder", x: { ...x, dims, strides }, y: p.make(value) });
}

export const elementwise: Lowerings = {
  add: binary("add"),
  sub: binary("sub"),
  mul: binary("mul"),
  div: binary("div"),
  neg: unary("linear", () => -1),
  scale: unary("linear", ({ factor }) => factor),
  exp: unary("exp"),
  sqrt: unary("sqrt"),
  tanh: unary("tanh"),
  relu: unary("relu"),
  recip: unary("pow", () => 1, -1),
  constant,
  reshape: rename,
  stopGradient: rename,
  transpose,
  split,
  concat,
};
