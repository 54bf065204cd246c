/**
 * Collects the ONNX nodes of one graph. Equal nodes (same operator, inputs and attributes) become one, so lowerings
 * may ask for what another has made already, such as a transposed operand in the forward and the backward pass.
 */
import type { Shape, Value } from "../../program/graph.ts";
import { encodeModel, type OnnxAttribute, type OnnxConstant, type OnnxNode, onnxType } from "./protobuf.ts";

/** Operator sets that the lowerings are written for: the newest that onnxruntime 1.16 knows, and its own. */
const OPSETS = { "": 20, "com.microsoft": 1 };
const IR_VERSION = 9;

/** A lowering names its operators in ONNX's domain, or in onnxruntime's own with this prefix. */
const CONTRIBUTED = "com.microsoft.";

export class Emitter {
  readonly #nodes: OnnxNode[] = [];
  readonly #made = new Map<string, readonly string[]>();
  readonly #constants = new Map<string, OnnxConstant>();
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
    this.#nodes.push({ op: type, domain, name: `${type}_${serial}`, inputs, outputs: names, attributes });
    this.#made.set(key, names);
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

  /** The model's bytes. Outputs are told by their values, each once; their names in the graph come with them. */
  encode(
    name: string,
    inputs: readonly { readonly name: string; readonly value: Value }[],
    outputs: readonly Value[],
  ): { readonly model: Uint8Array; readonly outputs: readonly string[] } {
    const type = (name: string, value: Value) => ({
      name,
      type: value.dtype === "f32" ? onnxType.float : onnxType.int32,
      shape: value.shape,
    });
    // What no node made (an input, a constant) or another output already names goes out under a name of its own.
    const free = new Set(this.#nodes.flatMap((node) => node.outputs));
    const names = outputs.map((value) => {
      const made = this.name(value);
      return free.delete(made) ? made : this.#copy(made, value);
    });
    const model = encodeModel({
      irVersion: IR_VERSION,
      opsets: OPSETS,
      name,
      nodes: this.#nodes,
      constants: [...this.#constants.values()],
      inputs: inputs.map((input) => type(input.name, input.value)),
      outputs: outputs.map((value, i) => type(names[i], value)),
    });
    return { model, outputs: names };
  }

  #copy(from: string, value: Value): string {
    const name = `out${value.id}`;
    this.#nodes.push({ op: "Identity", domain: "", name, inputs: [from], outputs: [name], attributes: {} });
    return name;
  }

  #constant(key: string, shape: Shape, data: OnnxConstant["data"]): string {
    const whole = `${key}[${shape}]`;
    const known = this.#constants.get(whole);
    if (known !== undefined) return known.name;
    const constant = { name: `c${this.#constants.size}`, shape, data };
    this.#constants.set(whole, constant);
    return constant.name;
  }
}
