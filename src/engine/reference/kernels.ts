/**
 * What each primitive computes, in float64 and plain loops: the definition that other engines are held against.
 * A kernel gets its inputs' numbers, its attributes and its node's types, and returns its outputs' numbers in
 * row-major order. Sums run in the order of the elements.
 */
import { type Attributes, type Operation, size, type Type } from "../../program/graph.ts";
import * as ops from "../../program/ops/index.ts";
import { philox } from "../../util/random.ts";
import { erf } from "./erf.ts";
import { broadcastStrides, offsets, reducedOffsets, rowMajorStrides } from "./strides.ts";

/** The numbers of a tensor: f32 of a program as float64, i32 as it is. */
export type Numbers = Float64Array | Int32Array;

interface Kernel<A extends Attributes = Attributes> {
  readonly op: Operation<A>;
  run(inputs: readonly Numbers[], attrs: A, node: Readonly<Record<"inputs" | "outputs", readonly Type[]>>): Numbers;
}

function kernel<A extends Attributes>(op: Operation<A>, run: Kernel<A>["run"]): Kernel {
  return { op, run };
}

function unary(op: Operation, f: (x: number) => number): Kernel {
  return kernel(op, ([x]) => map(x, f));
}

function binary(op: Operation, f: (x: number, y: number) => number): Kernel {
  return kernel(op, ([x, y], _attrs, node) => {
    const { shape } = node.outputs[0];
    const atX = offsets(shape, broadcastStrides(node.inputs[0].shape, shape));
    const atY = offsets(shape, broadcastStrides(node.inputs[1].shape, shape));
    const result = new Float64Array(atX.length);
    for (let i = 0; i < result.length; i++) result[i] = f(x[atX[i]], y[atY[i]]);
    return result;
  });
}

/** Float64Array.from(x, f), which walks an iterator, is many times slower. */
function map(x: Numbers, f: (x: number) => number): Float64Array {
  const result = new Float64Array(x.length);
  for (let i = 0; i < result.length; i++) result[i] = f(x[i]);
  return result;
}

/** The elements of x at these offsets, in x's own kind of number. */
function pick(x: Numbers, at: Int32Array): Numbers {
  const result = like(x, at.length);
  for (let i = 0; i < at.length; i++) result[i] = x[at[i]];
  return result;
}

function like(x: Numbers, length: number): Numbers {
  return x instanceof Int32Array ? new Int32Array(length) : new Float64Array(length);
}

function inside(id: number, rows: number, what: string): number {
  if (id < 0 || id >= rows) throw new RangeError(`${what}: there is no row ${id} of ${rows}`);
  return id;
}

const table: readonly Kernel[] = [
  binary(ops.addOp, (x, y) => x + y),
  binary(ops.subOp, (x, y) => x - y),
  binary(ops.mulOp, (x, y) => x * y),
  binary(ops.divOp, (x, y) => x / y),
  binary(ops.equalOp, (x, y) => (x === y ? 1 : 0)),
  unary(ops.negOp, (x) => -x),
  unary(ops.expOp, Math.exp),
  unary(ops.logOp, Math.log),
  unary(ops.sqrtOp, Math.sqrt),
  unary(ops.tanhOp, Math.tanh),
  unary(ops.erfOp, erf),
  unary(ops.reluOp, (x) => Math.max(x, 0)),
  unary(ops.recipOp, (x) => 1 / x),
  unary(ops.positiveOp, (x) => (x > 0 ? 1 : 0)),
  kernel(ops.stopGradientOp, ([x]) => x),
  kernel(ops.scaleOp, ([x], { factor }) => map(x, (value) => value * factor)),
  kernel(ops.constantOp, (_inputs, { value, shape }) => new Float64Array(size(shape)).fill(value)),
  kernel(ops.matmulOp, ([x, y], { transposeX, transposeY }, node) => {
    const { shape } = node.outputs[0];
    const [m, n] = shape.slice(-2);
    const xShape = node.inputs[0].shape;
    const k = xShape[xShape.length - (transposeX ? 2 : 1)];
    const [xRow, xInner] = transposeX ? [1, m] : [k, 1];
    const [yInner, yColumn] = transposeY ? [1, k] : [n, 1];
    const yMatrix = node.inputs[1].shape.length > 2 ? k * n : 0;
    const result = new Float64Array(size(shape));
    for (let z = 0, at = 0; at < result.length; z++) {
      for (let i = 0; i < m; i++, at += n) {
        for (let l = 0; l < k; l++) {
          const factor = x[z * m * k + i * xRow + l * xInner];
          const from = z * yMatrix + l * yInner;
          for (let j = 0; j < n; j++) result[at + j] += factor * y[from + j * yColumn];
        }
      }
    }
    return result;
  }),
  kernel(ops.reshapeOp, ([x]) => x),
  kernel(ops.transposeOp, ([x], { perm }, node) => {
    const strides = rowMajorStrides(node.inputs[0].shape);
    return pick(
      x,
      offsets(
        node.outputs[0].shape,
        perm.map((axis) => strides[axis]),
      ),
    );
  }),
  kernel(ops.sliceOp, ([x], { axis, start }, node) => {
    const strides = rowMajorStrides(node.inputs[0].shape);
    return pick(x, offsets(node.outputs[0].shape, strides, start * strides[axis]));
  }),
  kernel(ops.padOp, ([x], { axis, before }, node) => {
    const { shape } = node.outputs[0];
    const strides = rowMajorStrides(shape);
    const result = like(x, size(shape));
    offsets(node.inputs[0].shape, strides, before * strides[axis]).forEach((to, i) => {
      result[to] = x[i];
    });
    return result;
  }),
  kernel(ops.concatOp, (inputs, { axis }, node) => {
    const { shape } = node.outputs[0];
    const strides = rowMajorStrides(shape);
    const result = like(inputs[0], size(shape));
    let start = 0;
    inputs.forEach((x, which) => {
      const own = node.inputs[which].shape;
      offsets(own, strides, start * strides[axis]).forEach((to, i) => {
        result[to] = x[i];
      });
      start += own[axis];
    });
    return result;
  }),
  kernel(ops.broadcastToOp, ([x], { shape }, node) =>
    pick(x, offsets(shape, broadcastStrides(node.inputs[0].shape, shape))),
  ),
  kernel(ops.reduceSumOp, ([x], { axes }, node) => {
    const result = new Float64Array(size(node.outputs[0].shape));
    reducedOffsets(node.inputs[0].shape, axes).forEach((to, i) => {
      result[to] += x[i];
    });
    return result;
  }),
  kernel(ops.reduceMaxOp, ([x], { axes }, node) => {
    const result = new Float64Array(size(node.outputs[0].shape)).fill(Number.NEGATIVE_INFINITY);
    reducedOffsets(node.inputs[0].shape, axes).forEach((to, i) => {
      result[to] = Math.max(result[to], x[i]);
    });
    return result;
  }),
  kernel(ops.argmaxOp, ([x], _attrs, node) => {
    const width = node.inputs[0].shape[node.inputs[0].shape.length - 1];
    return new Int32Array(x.length / width).map((_, row) => {
      let best = 0;
      for (let j = 1; j < width; j++) if (x[row * width + j] > x[row * width + best]) best = j;
      return best;
    });
  }),
  kernel(ops.gatherOp, ([rows, ids], _attrs, node) => {
    const [count, width] = node.inputs[0].shape;
    const result = new Float64Array(ids.length * width);
    ids.forEach((id, i) => {
      const from = inside(id, count, "gather") * width;
      result.set(rows.subarray(from, from + width), i * width);
    });
    return result;
  }),
  kernel(ops.scatterAddOp, ([ids, updates], { rows }, node) => {
    const width = node.inputs[1].shape[1];
    const result = new Float64Array(rows * width);
    ids.forEach((id, i) => {
      const to = inside(id, rows, "scatterAdd") * width;
      for (let j = 0; j < width; j++) result[to + j] += updates[i * width + j];
    });
    return result;
  }),
  kernel(ops.oneHotOp, ([ids], { depth }) => {
    const result = new Float64Array(ids.length * depth);
    ids.forEach((id, i) => {
      result[i * depth + inside(id, depth, "oneHot")] = 1;
    });
    return result;
  }),
  kernel(ops.bandBiasOp, (_inputs, { rows, cols, before, after }) =>
    new Float64Array(rows * cols).map((_, i) => {
      const ahead = (i % cols) - (Math.floor(i / cols) + cols - rows);
      return -before <= ahead && ahead <= after ? 0 : ops.HIDDEN;
    }),
  ),
  kernel(ops.rotationsOp, (_inputs, attrs) => ops.rotationNumbers(attrs)),
  kernel(ops.dropoutMaskOp, ([key], attrs) => {
    const { threshold, kept, stream } = ops.dropoutNumbers(attrs);
    const result = new Float64Array(size(attrs.shape));
    const block = new Uint32Array(4);
    for (let i = 0; i < result.length; i++) {
      if (i % 8 === 0) philox(key[0], 0, i / 8, 0, key[1], stream, block);
      const word = block[(i % 8) >> 1];
      result[i] = (i % 2 === 0 ? word & 0xffff : word >>> 16) >= threshold ? kept : 0;
    }
    return result;
  }),
];

/** The kernels by the names of their operations. */
export const kernels: ReadonlyMap<string, Kernel> = new Map(table.map((entry) => [entry.op.name, entry]));
