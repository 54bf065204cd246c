/**
 * Builds a program node by node. Every node is checked as it is added, so a program that exists has consistent shapes.
 */
import {
  type Attributes,
  type Builder,
  type DType,
  type Node,
  type Operation,
  type Program,
  ProgramError,
  type Shape,
  sameShape,
  type Value,
} from "./graph.ts";

export class ProgramBuilder implements Builder {
  readonly #nodes: Node[] = [];
  readonly #producer = new Map<number, Node>();
  readonly #inputs = new Map<string, Value>();
  readonly #batched = new Map<string, number>();
  readonly #states = new Map<string, Value>();
  readonly #outputs = new Map<string, Value>();
  readonly #updates = new Map<string, Value>();
  #nextId = 0;

  /** A tensor given at each run. @param sequences how many lie along its first axis, where they do */
  input(name: string, shape: Shape, dtype: DType = "f32", sequences?: number): Value {
    if (sequences !== undefined) this.#batched.set(name, sequences);
    return this.#leaf(this.#inputs, name, shape, dtype);
  }

  /** A tensor that lives in the engine. Asking twice for a name gives the same value. */
  state(name: string, shape: Shape, dtype: DType = "f32"): Value {
    return this.#leaf(this.#states, name, shape, dtype);
  }

  apply<A extends Attributes>(op: Operation<A>, inputs: readonly Value[], attrs: A): readonly Value[] {
    const outputs = op.infer(inputs, attrs).map((type) => this.#value(type.shape, type.dtype));
    const node: Node = { op, inputs: [...inputs], attrs, outputs };
    this.#nodes.push(node);
    for (const output of outputs) this.#producer.set(output.id, node);
    return outputs;
  }

  output(name: string, value: Value): void {
    this.#outputs.set(name, value);
  }

  /** After a run, the state holds this value. */
  update(name: string, value: Value): void {
    const state = this.#states.get(name);
    if (state === undefined) throw new ProgramError(`no state ${name} to update`);
    if (state.dtype !== value.dtype || !sameShape(state.shape, value.shape)) {
      throw new ProgramError(`state ${name} is [${state.shape}], its update [${value.shape}]`);
    }
    this.#updates.set(name, value);
  }

  /** The nodes so far, in order. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** The node that makes a value; undefined for an input or a state. */
  producer(value: Value): Node | undefined {
    return this.#producer.get(value.id);
  }

  /** The finished program: only the nodes, inputs and states that an output or an update needs. */
  build(): Program {
    const needed = new Set<number>();
    for (const value of [...this.#outputs.values(), ...this.#updates.values()]) needed.add(value.id);
    for (const name of this.#updates.keys()) needed.add(this.#states.get(name)?.id ?? -1);
    const nodes: Node[] = [];
    for (let i = this.#nodes.length - 1; i >= 0; i--) {
      const node = this.#nodes[i];
      if (!node.outputs.some((output) => needed.has(output.id))) continue;
      nodes.push(node);
      for (const input of node.inputs) needed.add(input.id);
    }
    nodes.reverse();
    const used = (leaves: Map<string, Value>) => new Map([...leaves].filter(([, value]) => needed.has(value.id)));
    return {
      nodes,
      inputs: used(this.#inputs),
      batched: new Map(this.#batched),
      states: used(this.#states),
      outputs: new Map(this.#outputs),
      updates: new Map(this.#updates),
    };
  }

  #leaf(leaves: Map<string, Value>, name: string, shape: Shape, dtype: DType): Value {
    const known = leaves.get(name);
    if (known !== undefined) {
      if (known.dtype !== dtype || !sameShape(known.shape, shape)) {
        throw new ProgramError(`${name} was declared [${known.shape}] and now [${shape}]`);
      }
      return known;
    }
    const value = this.#value(shape, dtype);
    leaves.set(name, value);
    return value;
  }

  #value(shape: Shape, dtype: DType): Value {
    if (shape.some((extent) => !Number.isSafeInteger(extent) || extent < 1)) {
      throw new ProgramError(`a tensor can't have the shape [${shape}]`);
    }
    return { id: this.#nextId++, shape: [...shape], dtype };
  }
}
