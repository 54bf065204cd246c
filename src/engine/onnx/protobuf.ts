/**
 * ONNX models as bytes: a writer for the few messages of onnx.proto that a lowered program needs.
 *
 * Fields are written in the order of their numbers, so equal models are equal bytes. Weights are inputs of a
 * model and never stored in it; the only tensors inside are small constants (axes, shapes, scalars).
 */

import { type Bytes, block, float, integer, join, message, text } from "../../util/protobuf.ts";

/** onnx.TensorProto.DataType, as far as it is used. */
export const onnxType = { float: 1, uint8: 2, int32: 6, int64: 7, bool: 9 } as const;
export type OnnxType = (typeof onnxType)[keyof typeof onnxType];

/** An attribute of a node: an integer where `int`, a float where `float`, and so on, since the wire tells them apart. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] };

export interface OnnxNode {
  readonly op: string;
  /** "" is ONNX's own domain. */
  readonly domain: string;
  readonly name: string;
  /** "" where an optional input is absent. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxTensorType {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
}

export interface OnnxConstant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | BigInt64Array;
}

export interface OnnxModel {
  readonly irVersion: number;
  /** Version of the operator set by domain. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxConstant[];
  readonly inputs: readonly OnnxTensorType[];
  readonly outputs: readonly OnnxTensorType[];
}

/** AttributeProto: name 1, f 2, i 3, s 4, ints 8 (unpacked: onnx.proto is proto2 there), type 20. */
function attribute(name: string, value: OnnxAttribute): Bytes {
  if ("int" in value) return message(5, text(1, name), integer(3, value.int), integer(20, 2));
  if ("float" in value) return message(5, text(1, name), float(2, value.float), integer(20, 1));
  if ("string" in value) return message(5, text(1, name), text(4, value.string), integer(20, 3));
  return message(5, text(1, name), ...value.ints.map((n) => integer(8, n)), integer(20, 7));
}

/** NodeProto: input 1, output 2, name 3, op_type 4, attribute 5, domain 7. */
function node(n: OnnxNode): Bytes {
  return message(
    1,
    ...n.inputs.map((input) => text(1, input)),
    ...n.outputs.map((output) => text(2, output)),
    text(3, n.name),
    text(4, n.op),
    ...Object.entries(n.attributes).map(([name, value]) => attribute(name, value)),
    ...(n.domain === "" ? [] : [text(7, n.domain)]),
  );
}

/** TensorProto: dims 1, data_type 2, name 8, raw_data 9 (little-endian). */
function constant(c: OnnxConstant): Bytes {
  const type =
    c.data instanceof Float32Array ? onnxType.float : c.data instanceof Int32Array ? onnxType.int32 : onnxType.int64;
  const raw = new Uint8Array(c.data.byteLength);
  raw.set(new Uint8Array(c.data.buffer, c.data.byteOffset, c.data.byteLength));
  return message(5, ...c.shape.map((n) => integer(1, n)), integer(2, type), text(8, c.name), block(9, raw));
}

/** ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 } } } }. */
function tensorType(field: number, t: OnnxTensorType): Bytes {
  const shape = message(2, ...t.shape.map((n) => message(1, integer(1, n))));
  return message(field, text(1, t.name), message(2, message(1, integer(1, t.type), shape)));
}

/** ModelProto: ir_version 1, producer_name 2, graph 7 { node 1, name 2, initializer 5, input 11, output 12 }, opset_import 8. */
export function encodeModel(model: OnnxModel): Bytes {
  return join([
    integer(1, model.irVersion),
    text(2, "bert2bert"),
    message(
      7,
      ...model.nodes.map(node),
      text(2, model.name),
      ...model.constants.map(constant),
      ...model.inputs.map((input) => tensorType(11, input)),
      ...model.outputs.map((output) => tensorType(12, output)),
    ),
    ...Object.entries(model.opsets).map(([domain, version]) =>
      domain === "" ? message(8, integer(2, version)) : message(8, text(1, domain), integer(2, version)),
    ),
  ]);
}
