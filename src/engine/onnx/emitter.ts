/**
 * Collects the ONNX nodes of one graph. Equal nodes (same operator, inputs and attributes) become one, so lowerings
 * may ask for what another has made already, such as a transposed operand in the forward and the backward pass.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AttributeProtoSchema, ModelProtoSchema, NodeProtoSchema, TensorProtoSchema } from "onnx-buf";
import type { Shape, Value } from "../../program/graph.ts";

/** A model as onnx-buf makes bytes of it. */
export type Model = MessageInitShape<typeof ModelProtoSchema>;

/** onnx.TensorProto.DataType, as far as it is used. */
export const onnxType = { float: 1, int32: 6, int64: 7 } as const;

/** An attribute of a node: an integer where `int`, a float where `float`, and so on, since ONNX tells them apart. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] };

/** With its type by the number of onnx.AttributeProto.AttributeType. */
function attribute(name: string, value: OnnxAttribute): MessageInitShape<typeof AttributeProtoSchema> {
  if ("int" in value) return { name, type: 2, i: BigInt(value.int) };
  if ("float" in value) return { name, type: 1, f: value.float };
  if ("string" in value) return { name, type: 3, s: new TextEncoder().encode(value.string) };
  return { name, type: 7, ints: value.ints.map(BigInt) };
}

/** Operator sets that the lowerings are written for: the newest that onnxruntime 1.16 knows, and its own. */
const OPSETS = [{ version: 20n }, { domain: "com.microsoft", version: 1n }];
const IR_VERSION = 9n;

/** A lowering names its operators in ONNX's domain, or in onnxruntime's own with this prefix. */
const CONTRIBUTED = "com.microsoft.";

interface Made {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export class Emitter {
  readonly #nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  readonly #made = new Map<string, readonly string[]>();
  readonly #makers = new Map<string, Made>();
  readonly #constants = new Map<string, MessageInitShape<typeof TensorProtoSchema> & { readonly name: string }>();
  readonly #values = new Map<number, string>();
  #serial = 0;

  /** The ONNX name of a program's value in this graph. @throws if nothing has made it */
  name(value: Value): string {
    const name = this.#values.get(value.id);
    if (name === undefined) throw new Error(`value ${value.id} is used before it is made`);
    return name;
  }

  bind(value: Value, name: string): void {
    this.#values.set(value.id, name);
  }

  knows(value: Value): boolean {
    return this.#values.has(value.id);
  }

  /** The node that gives what has this name; undefined where none does. */
  maker(name: string): Made | undefined {
    return this.#makers.get(name);
  }

  /** Adds a node (or finds its equal) and returns the names of its outputs. */
  nodes(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    outputs: number,
  ): readonly string[] {
    const key = JSON.stringify([op, inputs, attributes, outputs]);
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const serial = this.#serial++;
    const names = Array.from({ length: outputs }, (_, i) => `t${serial}${i === 0 ? "" : `_${i}`}`);
    const domain = op.startsWith(CONTRIBUTED) ? CONTRIBUTED.slice(0, -1) : "";
    const type = domain === "" ? op : op.slice(CONTRIBUTED.length);
    const named = Object.entries(attributes).map(([name, value]) => attribute(name, value));
    const where = domain === "" ? {} : { domain };
    const node = { input: [...inputs], output: names, name: `${type}_${serial}`, opType: type, attribute: named };
    this.#nodes.push({ ...node, ...where });
    this.#made.set(key, names);
    for (const one of names) this.#makers.set(one, { op, inputs, attributes });
    return names;
  }

  /** As `nodes`, for a node with one output. */
  node(op: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>> = {}): string {
    return this.nodes(op, inputs, attributes, 1)[0];
  }

  /** A tensor of f32 that stands in the model. */
  real(values: readonly number[], shape: Shape = []): string {
    return this.#constant(`f${values.join(",")}`, shape, Float32Array.from(values));
  }

  /** A tensor filled with one number; large ones are made when the graph runs. */
  filled(value: number, shape: Shape): string {
    return shape.length === 0 ? this.real([value]) : this.node("Expand", [this.real([value]), this.longs(shape)]);
  }

  /** A tensor of i32 that stands in the model. */
  index(values: readonly number[], shape: Shape = [values.length]): string {
    return this.#constant(`i${values.join(",")}`, shape, Int32Array.from(values));
  }

  /** A scalar of int64. */
  long(value: number): string {
    return this.#constant(`l${value}`, [], BigInt64Array.of(BigInt(value)));
  }

  /** A vector of int64, as ONNX takes axes and shapes. */
  longs(values: readonly number[]): string {
    return this.#constant(`l${values.join(",")}`, [values.length], BigInt64Array.from(values, BigInt));
  }

  reshape(x: string, shape: Shape): string {
    return this.node("Reshape", [x, this.longs(shape)]);
  }

  transpose(x: string, perm: readonly number[]): string {
    return this.node("Transpose", [x], { perm: { ints: perm } });
  }

  /** The model. Outputs are told by their values, each once; their names in the graph come with them. */
  model(name: string, inputs: readonly { readonly name: string; readonly value: Value }[], outputs: readonly Value[]) {
    const type = (name: string, { dtype, shape }: Value) => {
      const dim = shape.map((n) => ({ value: { case: "dimValue", value: BigInt(n) } as const }));
      const tensor = { elemType: dtype === "f32" ? onnxType.float : onnxType.int32, shape: { dim } };
      return { name, type: { value: { case: "tensorType", value: tensor } as const } };
    };
    // What no node made (an input, a constant) or another output already names goes out under a name of its own.
    const free = new Set([...this.#made.values()].flat());
    const names = outputs.map((value) => {
      const made = this.name(value);
      return free.delete(made) ? made : this.#copy(made, value);
    });
    // What a lowering made and another took the place of is not computed.
    const needed = new Set(names);
    const nodes = this.#nodes.toReversed().filter(({ input = [], output = [] }) => {
      const read = output.some((one) => needed.has(one));
      if (read) for (const one of input) needed.add(one);
      return read;
    });
    const graph = {
      name,
      node: nodes.reverse(),
      initializer: [...this.#constants.values()],
      input: inputs.map((input) => type(input.name, input.value)),
      output: outputs.map((value, i) => type(names[i], value)),
    };
    const model = { irVersion: IR_VERSION, producerName: "bert2bert", opsetImport: OPSETS, graph };
    return { model, outputs: names };
  }

  #copy(from: string, value: Value): string {
    const name = `out${value.id}`;
    this.#nodes.push({ opType: "Identity", name, input: [from], output: [name] });
    return name;
  }

  #constant(key: string, shape: Shape, data: Float32Array | Int32Array | BigInt64Array): string {
    const whole = `${key}[${shape}]`;
    const known = this.#constants.get(whole);
    if (known !== undefined) return known.name;
    const dataType =
      data instanceof Float32Array ? onnxType.float : data instanceof Int32Array ? onnxType.int32 : onnxType.int64;
    const rawData = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    const name = `c${this.#constants.size}`;
    this.#constants.set(whole, { dims: shape.map(BigInt), dataType, name, rawData });
    return name;
  }
}
