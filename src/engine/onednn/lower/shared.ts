/** What the lowerings share: views of windows, products with what follows them, and the reference engine as a last resort. */
import { type Attributes, type Node, type Shape, sameShape, size, type Value } from "../../../program/graph.ts";
import * as ops from "../../../program/ops/index.ts";
import { rowMajorStrides } from "../../reference/strides.ts";
import type { Planner } from "../planner.ts";
import { type AfterProduct, bytesOf, type StepClass, type Window } from "../steps.ts";

export type Lowering<A extends Attributes = Attributes> = { of(p: Planner, node: Node<A>): void }["of"];

/** By the operations' names. Composites that are missing are expanded, primitives must be here. */
export type Lowerings = { readonly [K in keyof ops.AttributesOf]?: Lowering<ops.AttributesOf[K]> };

/** The same memory under other extents. */
export function reshaped(window: Window, dims: Shape): Window {
  return { ...window, dims, strides: rowMajorStrides(dims) };
}

/** A vector as the row that is added to every row. */
export function asRow(window: Window): Window {
  return reshaped(window, [1, size(window.dims)]);
}

export function atLeastVector(window: Window): Window {
  return window.dims.length === 0 ? reshaped(window, [1]) : window;
}

/** How often a shape repeats along the axes of another, with leading ones added. */
export function padded(shape: Shape, rank: number): number[] {
  return [...new Array<number>(rank - shape.length).fill(1), ...shape];
}

/** A window's numbers in the type of another: the operands of a product have one type. */
export function sameType(p: Planner, window: Window, other: Window): Window {
  if (window.type === other.type) return window;
  const cast = p.scratch(window.dims, other.type);
  p.push({ of: "cast", do: "reorder", x: window, y: cast });
  return cast;
}

/** Of a first-level cache and of its way: addresses that lie so far apart fall into the same set. */
const ALIASING_BYTES = 4096;

/**
 * The second operand of a product, in rows that don't all fall into one set of the first-level cache. oneDNN copies such
 * an operand itself where its rows are a power of two apart; where they are 3,072 numbers apart (the FFN of 768 units),
 * 5,120 and so on, its product takes twice the time, many times that of a copy (docs/results/cpu-speed.md).
 */
function spread(p: Planner, a: Window, b: Window): Window {
  const [rows, width] = b.dims;
  const [step, one] = b.strides;
  const aliased = one === 1 && (step * bytesOf(b.type)) % ALIASING_BYTES === 0 && !Number.isInteger(Math.log2(step));
  // With fewer rows to multiply, or to add over, the copy costs what it saves.
  if (b.type !== "f32" || b.dims.length !== 2 || !aliased || a.dims[0] < 128 || rows < 256) return b;
  const copy = { ...p.scratch([rows, width + 16]), dims: [rows, width] };
  p.push({ of: "product", do: "reorder", x: b, y: copy });
  return copy;
}

/** Follows a product's result while one reader alone adds to it or scales it; binds the last result's window. */
export function pushProduct(
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
    if (ops.isOf("scale", reader)) {
      after.push({ kind: "scale", factor: reader.attrs.factor });
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
  p.push({ of, do: "matmul", a, b: spread(p, a, b), c, bias: options.bias, after });
}

export function reference(p: Planner, node: Node): void {
  const inputs = node.inputs.map((value) => ({
    type: { dtype: value.dtype, shape: value.shape },
    window: p.window(value),
  }));
  const [value] = node.outputs;
  const output = { type: { dtype: value.dtype, shape: value.shape }, window: p.make(value) };
  p.push({ of: "elementwise", do: "reference", op: node.op.name, attrs: node.attrs, inputs, output });
}
