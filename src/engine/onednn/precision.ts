/**
 * Which readers take a value that is stored as bf16 as it is: products, whose sums are f32 all the same, and what lies
 * between them. All else (the loss, the embeddings, what the optimizer reads) is given f32.
 */
import { readFileSync } from "node:fs";
import { type Node, size } from "../../program/graph.ts";
import * as ops from "../../program/ops/index.ts";

/** By operation: the inputs, by their numbers. */
const readers: ReadonlyMap<string, readonly number[]> = new Map([
  [ops.linearOp.name, [0, 1]],
  [ops.matmulOp.name, [0, 1]],
  [ops.layerNormOp.name, [0]],
  [ops.layerNormGradOp.name, [0, 1]],
  [ops.geluOp.name, [0]],
  [ops.geluGradOp.name, [0, 1]],
  [ops.attentionOp.name, [0, 1, 2]],
  [ops.attentionGradOp.name, [0, 1, 2, 3, 4]],
  [ops.addOp.name, [0, 1]],
  [ops.mulOp.name, [0, 1]],
  [ops.scaleOp.name, [0]],
  [ops.gatherOp.name, [0]],
]);

export function readsHalves(node: Node, input: number): boolean {
  if (node.op.name === ops.reduceSumOp.name) return splitOf(node) !== undefined;
  const value = node.inputs[input];
  // Rows are copied as words of four bytes.
  if (node.op.name === ops.gatherOp.name && value.shape[1] % 2 !== 0) return false;
  if (node.op.name === ops.addOp.name || node.op.name === ops.mulOp.name) {
    if (size(value.shape) !== size(node.outputs[0].shape)) return false;
  }
  return readers.get(node.op.name)?.includes(input) ?? false;
}

/** A sum seen as one over the rows or the columns of a matrix, where it is one. */
export function splitOf(node: Node): { rows: number; width: number; overRows: boolean } | undefined {
  const { shape } = node.inputs[0];
  const { axes } = node.attrs;
  if (!Array.isArray(axes) || axes.length === 0 || axes.length >= shape.length) return undefined;
  const sorted = axes.map(Number).sort((a, b) => a - b);
  const kept = shape.length - sorted.length;
  const matrix = (rows: number) => ({ rows: size(shape.slice(0, rows)), width: size(shape.slice(rows)) });
  if (sorted.every((axis, i) => axis === i)) return { ...matrix(sorted.length), overRows: true };
  if (sorted.every((axis, i) => axis === kept + i)) return { ...matrix(kept), overRows: false };
  return undefined;
}

/** Whether this processor multiplies bf16 numbers by instructions of its own: AVX512-BF16 or AMX. */
export function multipliesHalves(): boolean {
  try {
    return /\b(avx512_bf16|amx_bf16)\b/.test(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return false;
  }
}
