import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { AttributeProto_AttributeType, ModelProtoSchema, TensorProto_DataType } from "onnx-buf";
import { expect, test } from "vitest";
import { encodeModel, type OnnxAttribute, type OnnxModel, onnxType } from "../../src/engine/onnx/protobuf.ts";

/** The same model through the generated classes of onnx-buf: what the bytes must be. */
function oracle(model: OnnxModel): Uint8Array {
  const tensor = (t: OnnxModel["inputs"][number]) => ({
    name: t.name,
    type: {
      value: {
        case: "tensorType" as const,
        value: {
          elemType: t.type,
          shape: { dim: t.shape.map((n) => ({ value: { case: "dimValue" as const, value: BigInt(n) } })) },
        },
      },
    },
  });
  const attribute = ([name, a]: [string, OnnxAttribute]) => {
    if ("int" in a) return { name, i: BigInt(a.int), type: AttributeProto_AttributeType.INT };
    if ("float" in a) return { name, f: a.float, type: AttributeProto_AttributeType.FLOAT };
    if ("string" in a)
      return { name, s: Uint8Array.from(Buffer.from(a.string)), type: AttributeProto_AttributeType.STRING };
    return { name, ints: a.ints.map(BigInt), type: AttributeProto_AttributeType.INTS };
  };
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: BigInt(model.irVersion),
      producerName: "bert2bert",
      opsetImport: Object.entries(model.opsets).map(([domain, version]) =>
        domain === "" ? { version: BigInt(version) } : { domain, version: BigInt(version) },
      ),
      graph: {
        name: model.name,
        node: model.nodes.map((n) => ({
          input: [...n.inputs],
          output: [...n.outputs],
          name: n.name,
          opType: n.op,
          attribute: Object.entries(n.attributes).map(attribute),
          ...(n.domain === "" ? {} : { domain: n.domain }),
        })),
        initializer: model.constants.map((c) => ({
          dims: c.shape.map(BigInt),
          dataType:
            c.data instanceof Float32Array
              ? TensorProto_DataType.FLOAT
              : c.data instanceof Int32Array
                ? TensorProto_DataType.INT32
                : TensorProto_DataType.INT64,
          name: c.name,
          rawData: Uint8Array.from(Buffer.from(c.data.buffer, c.data.byteOffset, c.data.byteLength)),
        })),
        input: model.inputs.map(tensor),
        output: model.outputs.map(tensor),
      },
    }),
  );
}

const word = fc.string({ minLength: 1, maxLength: 200, unit: "grapheme" });
const shape = fc.array(fc.integer({ min: 1, max: 100_000 }), { maxLength: 4 });
const attribute: fc.Arbitrary<OnnxAttribute> = fc.oneof(
  fc.record({ int: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }) }),
  fc.record({ float: fc.float({ noNaN: true }) }),
  fc.record({ string: word }),
  fc.record({ ints: fc.array(fc.integer(), { maxLength: 5 }) }),
);
const type = fc.constantFrom(...Object.values(onnxType));
const model: fc.Arbitrary<OnnxModel> = fc.record({
  irVersion: fc.integer({ min: 1, max: 20 }),
  opsets: fc.constantFrom<Record<string, number>>({ "": 20 }, { "": 20, "com.microsoft": 1 }),
  name: word,
  nodes: fc.array(
    fc.record({
      op: word,
      domain: fc.constantFrom("", "com.microsoft"),
      name: word,
      inputs: fc.array(fc.constantFrom("", "a", "b")),
      outputs: fc.array(word),
      attributes: fc.dictionary(word, attribute, { maxKeys: 3 }),
    }),
    { maxLength: 5 },
  ),
  constants: fc.array(
    fc.record({
      name: word,
      shape,
      data: fc.constantFrom(new Float32Array([1, -2.5]), new Int32Array([-1, 7]), new BigInt64Array([-1n, 300n])),
    }),
    { maxLength: 3 },
  ),
  inputs: fc.array(fc.record({ name: word, type, shape }), { maxLength: 3 }),
  outputs: fc.array(fc.record({ name: word, type, shape }), { maxLength: 3 }),
});

test("the writer gives the bytes of the generated protobuf classes", () => {
  fc.assert(
    fc.property(model, (m) => {
      expect(Buffer.from(encodeModel(m)).equals(Buffer.from(oracle(m)))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test("a model reads back with the numbers it was given", () => {
  const bytes = encodeModel({
    irVersion: 9,
    opsets: { "": 20 },
    name: "g",
    nodes: [],
    constants: [],
    inputs: [{ name: "x", type: onnxType.float, shape: [2, 3] }],
    outputs: [],
  });
  const input = fromBinary(ModelProtoSchema, bytes).graph?.input[0];
  expect(input?.name).toBe("x");
  expect(input?.type?.value.case).toBe("tensorType");
});
