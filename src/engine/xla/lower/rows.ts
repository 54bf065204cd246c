/** Tables by their rows' numbers. XLA moves an id outside a table to its edge without a word: lower.ts has them checked. */

import { HIDDEN } from "../../../program/ops/index.ts";
import { type Emitter, type Ref, typeOf, typeText } from "../emitter.ts";
import type { Lowerings } from "./lowering.ts";

export const rows: Lowerings = {
  gather: (e, { attrs, outputs }, [flat, ids]) => {
    const groups = attrs.groups;
    const [table, column] = [inGroups(e, flat, groups), idsInGroups(e, ids, groups, flat.shape[0] / groups)];
    const shape = [...column.shape.slice(0, -1), flat.shape[1]];
    const at = shape.length - 2;
    const beside = at === 0 ? "" : "operand_batching_dims = [0], start_indices_batching_dims = [0], ";
    const numbers = `offset_dims = [${at + 1}], collapsed_slice_dims = [${at}], ${beside}start_index_map = [${at}], index_vector_dim = ${at + 1}`;
    const sizes = [...shape.slice(0, -1).map(() => 1), flat.shape[1]].join(", ");
    const attributes = `dimension_numbers = #stablehlo.gather<${numbers}>, indices_are_sorted = false, slice_sizes = array<i64: ${sizes}>`;
    const types = `(${typeOf(table)}, ${typeOf(column)}) -> ${typeText(table.element, shape)}`;
    const text = `"stablehlo.gather"(${table.name}, ${column.name}) <{${attributes}}> : ${types}`;
    return [e.reshape(e.op(text, table.element, shape), outputs[0].shape)];
  },
  scatterAdd: (e, { attrs, outputs }, [ids, flat]) => {
    const groups = attrs.groups;
    const [rows, width] = outputs[0].shape;
    const zeros = inGroups(e, e.constant(0, flat.element, [rows, width]), groups);
    const { shape } = zeros;
    const [updates, column] = [inGroups(e, flat, groups), idsInGroups(e, ids, groups, rows / groups)];
    const at = shape.length - 2;
    const beside = at === 0 ? "" : "input_batching_dims = [0], scatter_indices_batching_dims = [0], ";
    const scalar = typeText(updates.element, []);
    const numbers = `update_window_dims = [${at + 1}], inserted_window_dims = [${at}], ${beside}scatter_dims_to_operand_dims = [${at}], index_vector_dim = ${at + 1}`;
    const text = [
      `"stablehlo.scatter"(${zeros.name}, ${column.name}, ${updates.name}) <{indices_are_sorted = false, scatter_dimension_numbers = #stablehlo.scatter<${numbers}>, unique_indices = false}> ({`,
      `    ^bb0(%a: ${scalar}, %b: ${scalar}):`,
      `      %c = stablehlo.add %a, %b : ${scalar}`,
      `      stablehlo.return %c : ${scalar}`,
      `    }) : (${typeOf(zeros)}, ${typeOf(column)}, ${typeOf(updates)}) -> ${typeOf(zeros)}`,
    ].join("\n");
    return [e.reshape(e.op(text, updates.element, shape), outputs[0].shape)];
  },
  oneHot: (e, { outputs }, [ids]) => {
    const { shape } = outputs[0];
    return [e.convert(e.compare("EQ", e.along(ids, shape, [0]), e.iota("i32", shape, 1)), "f32")];
  },
  // As its expansion, but for the label's logit, which is looked up: one reading of all logits less.
  crossEntropy: (e, _node, [logits, labels, weights]) => {
    const [rows] = logits.shape;
    const wide = e.convert(logits, "f32");
    const [largest, sum] = logits.element === "bf16" ? online(e, wide) : inTwo(e, wide);
    const logsumexp = e.binary("add", e.unary("stablehlo.log", sum), largest);
    const column = e.reshape(labels, [rows, 1]);
    const numbers =
      "collapsed_slice_dims = [1], operand_batching_dims = [0], start_indices_batching_dims = [0], start_index_map = [1], index_vector_dim = 1>, indices_are_sorted = false";
    const types = `(${typeOf(logits)}, ${typeOf(column)}) -> ${typeText(logits.element, [rows])}`;
    const attributes = `dimension_numbers = #stablehlo.gather<${numbers}, slice_sizes = array<i64: 1, 1>`;
    const text = `"stablehlo.gather"(${logits.name}, ${column.name}) <{${attributes}}> : ${types}`;
    const chosen = e.convert(e.op(text, logits.element, [rows]), "f32");
    const losses = e.binary("multiply", weights, e.binary("subtract", logsumexp, chosen));
    return [e.reduce("add", losses, [0], 0), logsumexp];
  },
  bandBias: (e, { attrs, outputs }) => {
    const { shape } = outputs[0];
    const { rows, cols, before, after } = attrs;
    const place = e.binary("add", e.iota("i32", shape, 0), e.constant(cols - rows, "i32"));
    const ahead = e.binary("subtract", e.iota("i32", shape, 1), place);
    const below = e.compare("GE", ahead, e.constant(-before, "i32"));
    const seen = e.binary("and", below, e.compare("LE", ahead, e.constant(after, "i32")));
    return [e.select(seen, e.constant(0, "f32"), e.constant(HIDDEN, "f32"))];
  },
  rotations: (e, { attrs, outputs }) => {
    const shape = outputs[0].shape.slice(1);
    const frequencies = e.along(e.row(attrs.frequencies), shape, [1]);
    const angles = e.binary("multiply", e.convert(e.iota("i32", shape, 0), "f32"), frequencies);
    const parts = ["cosine", "sine"].map((name) => {
      const part = e.binary("multiply", e.unary(`stablehlo.${name}`, angles), e.constant(attrs.scale, "f32"));
      return e.reshape(part, [1, ...shape]);
    });
    return [e.concat(parts, 0)];
  },
};

/** Of each row the largest entry, and the sum of all e^(entry − largest). */
function inTwo(e: Emitter, x: Ref): readonly Ref[] {
  const largest = e.reduce("maximum", x, [1], Number.NEGATIVE_INFINITY);
  const above = e.unary("stablehlo.exponential", e.binary("subtract", x, e.along(largest, x.shape, [0])));
  return [largest, e.reduce("add", above, [1], 0)];
}

/** The same in one reading, the sum scaled down as larger entries come (Milakov and Gimelshein 2018). */
function online(e: Emitter, x: Ref): readonly Ref[] {
  const scaled = (part: string) => [
    `%${part}2 = stablehlo.subtract %${part}0, %j0`,
    `%${part}3 = stablehlo.exponential %${part}2`,
    `%${part}4 = stablehlo.multiply %${part}1, %${part}3`,
  ];
  const join = ["%j0 = stablehlo.maximum %a0, %b0", ...scaled("a"), ...scaled("b"), "%j1 = stablehlo.add %a4, %b4"];
  // Each entry begins as a sum of 1. The lowest real and not −∞, of which a difference would be none.
  return e.reduceTogether([x, e.constant(1, "f32", x.shape)], [1], [-3.4028234663852886e38, 0], join);
}

/** Groups along an axis of their own, where there are several. */
const inGroups = (e: Emitter, x: Ref, groups: number): Ref =>
  groups === 1 ? x : e.reshape(x, [groups, x.shape[0] / groups, ...x.shape.slice(1)]);

/** Numbers within each group's rows, [groups, ids, 1]. */
function idsInGroups(e: Emitter, ids: Ref, groups: number, rows: number): Ref {
  if (groups === 1) return e.reshape(ids, [...ids.shape, 1]);
  const split = inGroups(e, ids, groups);
  const first = e.binary("multiply", e.iota("i32", split.shape, 0), e.constant(rows, "i32"));
  return e.reshape(e.binary("subtract", split, first), [...split.shape, 1]);
}
