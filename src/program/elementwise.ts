/**
 * What elementwise operations have in common: one real tensor in and one of the same shape out, or two that broadcast.
 * Each element costs one operation.
 */
import { broadcastShape, unbroadcast } from "./broadcast.ts";
import { expectCount, expectReal, gradientOfFirst } from "./check.ts";
import { type Builder, type Operation, size, type Value } from "./graph.ts";

export type NoAttributes = Readonly<Record<string, never>>;

/** A unary operation. `gradient` gives the input's gradient from the output's, the input and the output. */
export function unaryOperation(
  name: string,
  gradient?: (b: Builder, gradient: Value, x: Value, y: Value) => Value,
): Operation<NoAttributes> {
  const op: Operation<NoAttributes> = {
    name,
    infer(inputs) {
      expectCount(name, inputs, 1);
      expectReal(name, "x", inputs[0]);
      return [{ dtype: "f32", shape: inputs[0].shape }];
    },
    flops: (_inputs, [output]) => size(output.shape),
  };
  if (gradient === undefined) return op;
  return {
    ...op,
    gradient: (b, node, gradients) => [gradient(b, gradientOfFirst(name, gradients), node.inputs[0], node.outputs[0])],
  };
}

/** A binary operation with broadcasting. The gradients are given in the output's shape; what was repeated is summed. */
export function binaryOperation(
  name: string,
  gradientX: (b: Builder, gradient: Value, x: Value, y: Value, output: Value) => Value,
  gradientY: (b: Builder, gradient: Value, x: Value, y: Value, output: Value) => Value,
): Operation<NoAttributes> {
  return {
    name,
    infer(inputs) {
      expectCount(name, inputs, 2);
      expectReal(name, "x", inputs[0]);
      expectReal(name, "y", inputs[1]);
      return [{ dtype: "f32", shape: broadcastShape(name, inputs[0].shape, inputs[1].shape) }];
    },
    gradient(b, node, gradients, _attrs, wanted) {
      const g = gradientOfFirst(name, gradients);
      const [x, y] = node.inputs;
      return [
        wanted[0] ? unbroadcast(b, gradientX(b, g, x, y, node.outputs[0]), x.shape) : null,
        wanted[1] ? unbroadcast(b, gradientY(b, g, x, y, node.outputs[0]), y.shape) : null,
      ];
    },
    flops: (_inputs, [output]) => size(output.shape),
  };
}
