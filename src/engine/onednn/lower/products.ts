/** Products, and the sums that are products with ones. */

import { type Shape, size } from "../../../program/graph.ts";
import type { NodeOf } from "../../../program/ops/index.ts";
import { splitOf } from "../../precision.ts";
import type { Planner } from "../planner.ts";
import type { Window } from "../steps.ts";
import { transposed } from "../views.ts";
import { asRow, padded, pushProduct, reference, reshaped } from "./shared.ts";

/**
 * A sum over the leading axes, or over the last ones, is a product with a row (column) of ones: many times faster than
 * oneDNN's reduction.
 */
export function reduceSum(p: Planner, node: NodeOf<"reduceSum">): void {
  const [x] = node.inputs;
  const [value] = node.outputs;
  const split = splitOf(node);
  if (split === undefined) {
    reference(p, node);
    return;
  }
  const stored = p.stored(x);
  const { rows, width, overRows } = split;
  const matrix = reshaped(stored, [rows, width]);
  const ones = p.ones(overRows ? [1, rows] : [width, 1], stored.type);
  const [a, b] = overRows ? [ones, matrix] : [matrix, ones];
  pushProduct(p, "product", a, b, value, { dims: overRows ? [1, width] : [rows, 1] });
}

export function matmul(p: Planner, node: NodeOf<"matmul">): void {
  const [x, y] = node.inputs;
  const [value] = node.outputs;
  const rank = x.shape.length;
  const turn = (window: Window, turned: boolean) => (turned ? transposed(window) : window);
  let a = turn(p.operand(x), node.attrs.transposeX);
  let b = p.operand(y);
  let dims: Shape | undefined;
  if (rank > 2 && y.shape.length === 2) {
    if (node.attrs.transposeX) {
      // One matrix shared by all products of a batch: it repeats along the leading dimensions.
      b = reshaped(b, padded(y.shape, rank));
    } else {
      const rows = size(value.shape) / value.shape[rank - 1];
      a = reshaped(p.operand(x), [rows, x.shape[rank - 1]]);
      dims = [rows, value.shape[rank - 1]];
    }
  }
  pushProduct(p, "product", a, turn(b, node.attrs.transposeY), value, { dims });
}

export function linear(p: Planner, node: NodeOf<"linear">): void {
  const [x, w, bias] = node.inputs;
  const weight = node.attrs.transposeWeight ? transposed(p.operand(w)) : p.operand(w);
  const row = bias === undefined ? undefined : asRow(p.window(bias));
  pushProduct(p, "product", p.operand(x), weight, node.outputs[0], { bias: row });
}
