/**
 * From a tensor program to a plan: composites without a lowering are expanded, the rest is split into phases, graphs
 * are written as ONNX models, and every tensor between them gets a place. States are updated in place wherever all
 * other reads of them come before; else the new value is made aside and takes its place after the last step.
 */
import { expand } from "../../program/expand.ts";
import { costOf } from "../../program/flops.ts";
import { type Node, type Program, ProgramError, type Value } from "../../program/graph.ts";
import { isOf } from "../../program/ops/index.ts";
import { type Uses, usesOf } from "../../program/uses.ts";
import { Emitter } from "./emitter.ts";
import { hostOperations } from "./host.ts";
import { compositeLowerings } from "./lower/composites.ts";
import type { Lowering } from "./lower/lowering.ts";
import { primitiveLowerings } from "./lower/primitives.ts";
import { isFree, type Move, partition } from "./partition.ts";
import type { GraphStep, HostStep, Place, Plan, Tensor } from "./plan.ts";

/** Operations below which a graph is not worth a second thread. */
const LARGE = 1e6;

const lowerings: ReadonlyMap<string, Lowering> = new Map(
  Object.entries({ ...primitiveLowerings, ...compositeLowerings }),
);

/** @throws ProgramError if an operation has neither a lowering nor an expansion */
export function lower(source: Program): Plan {
  const program = expand(source, ({ name }) => lowerings.has(name) || hostOperations[name] !== undefined);
  for (const { op } of program.nodes) {
    if (!lowerings.has(op.name) && hostOperations[op.name] === undefined) {
      throw new ProgramError(`the ONNX engine has no lowering for ${op.name}`);
    }
  }
  return new Planner(program).plan();
}

class Planner {
  readonly #program: Program;
  readonly #moves: readonly Move[];
  readonly #places = new Map<number, Place>();
  readonly #uses: Uses;
  readonly #scratch: Tensor[] = [];
  readonly #stateNames = new Map<number, string>();
  readonly #updateOf = new Map<number, string>();
  /** Where a value is last read, as a number of a move; its count for outputs and updates. */
  readonly #lastRead = new Map<number, number>();
  readonly #inPlace = new Set<string>();
  /** What a graph makes beside a value whose squares the host wants: their sums along its last dimension. */
  readonly #squares = new Map<number, Tensor>();
  /** Host nodes whose work another has done. */
  readonly #done = new Set<Node>();
  #results = 0;

  constructor(program: Program) {
    this.#program = program;
    this.#uses = usesOf(program);
    this.#moves = partition(program);
    for (const [name, { id }] of program.inputs) this.#places.set(id, { at: "input", name });
    for (const [name, { id }] of program.states) {
      this.#places.set(id, { at: "state", name });
      this.#stateNames.set(id, name);
    }
    for (const [name, { id }] of program.updates) this.#updateOf.set(id, name);
    this.#moves.forEach(({ nodes }, i) => {
      for (const { inputs } of nodes) for (const { id } of inputs) this.#lastRead.set(id, i);
    });
    for (const { id } of [...program.outputs.values(), ...program.updates.values()]) {
      this.#lastRead.set(id, this.#moves.length);
    }
  }

  plan(): Plan {
    const steps: (GraphStep | HostStep)[] = this.#snapshots();
    this.#moves.forEach(({ kind, nodes }, i) => {
      if (kind === "graph") steps.push(this.#graph(nodes, i));
      else if (!this.#done.has(nodes[0])) steps.push(this.#host(nodes[0], i));
    });
    const { outputs, updates } = this.#program;
    return {
      steps,
      scratch: this.#scratch,
      commits: [...updates]
        .filter(([state]) => !this.#inPlace.has(state))
        .map(([state, value]) => ({ state, from: this.#tensor(value) })),
      outputs: [...outputs].map(([name, value]) => ({ name, from: this.#tensor(value) })),
    };
  }

  /** A state that is itself an output or another's update is read after the steps, so its old value is set aside. */
  #snapshots(): HostStep[] {
    const { outputs, updates, states } = this.#program;
    const wanted = new Set([...outputs.values(), ...updates.values()].map(({ id }) => id));
    const steps: HostStep[] = [];
    for (const [name, value] of states) {
      if (!wanted.has(value.id) || !updates.has(name)) continue;
      const from = this.#tensor(value);
      const to = this.#aside(value);
      steps.push({ kind: "host", op: "copy", attrs: {}, inputs: [from], outputs: [to] });
      this.#places.set(value.id, to.place);
    }
    return steps;
  }

  #host(node: Node, position: number): HostStep {
    if (hostOperations[node.op.name]?.ofSquares) return this.#ofSquares(node);
    const inputs = node.inputs.map((value) => this.#tensor(value));
    const onto = hostOperations[node.op.name]?.adds ? this.#addedTo(node) : undefined;
    if (onto !== undefined) {
      return { kind: "host", op: node.op.name, attrs: node.attrs, inputs: [...inputs, onto], outputs: [onto] };
    }
    const outputs = node.outputs.map((value, i) => {
      const candidates = hostOperations[node.op.name]?.inPlace[i] ?? [];
      for (const from of candidates) {
        const made = this.#overwritten(node, node.inputs[from], value, position);
        if (made !== undefined) return made;
      }
      return this.#aside(value);
    });
    return { kind: "host", op: node.op.name, attrs: node.attrs, inputs, outputs };
  }

  /** Reads sums of squares in place of what a graph made. */
  #ofSquares(node: Node): HostStep {
    const squared = node.inputs.map(({ id }) => (this.#squares.has(id) ? 1 : 0));
    return {
      kind: "host",
      op: node.op.name,
      attrs: { ...node.attrs, squared },
      inputs: node.inputs.map((value) => this.#squares.get(value.id) ?? this.#tensor(value)),
      outputs: node.outputs.map((value) => this.#aside(value)),
    };
  }

  /** What a graph gave, if all that becomes of a node's output is a sum with that, and nobody reads it otherwise. */
  #addedTo({ outputs: [table] }: Node): Tensor | undefined {
    const [sum, ...others] = this.#uses.readers(table);
    if (sum?.op.name !== "add" || others.length > 0 || this.#updateOf.has(table.id)) return undefined;
    const other = sum.inputs.find(({ id }) => id !== table.id);
    if (other === undefined || this.#uses.readers(other).length !== 1) return undefined;
    const kept = (this.#lastRead.get(other.id) ?? 0) === this.#moves.length;
    const place = this.#places.get(other.id);
    if (kept || place?.at !== "result") return undefined;
    this.#done.add(sum);
    this.#places.set(sum.outputs[0].id, place);
    return { place, dtype: other.dtype, shape: other.shape };
  }

  /**
   * The input's place, if nobody else reads the input now or later and it is the state that this output updates, or
   * room of the program's own.
   */
  #overwritten(node: Node, input: Value, output: Value, position: number): Tensor | undefined {
    const readsHere = node.inputs.filter(({ id }) => id === input.id).length;
    if (readsHere !== 1 || (this.#lastRead.get(input.id) ?? 0) > position) return undefined;
    const name = this.#stateNames.get(input.id);
    const { place } = this.#tensor(input);
    if (name === undefined ? place.at !== "scratch" : this.#updateOf.get(output.id) !== name) return undefined;
    if (name !== undefined) this.#inPlace.add(name);
    this.#places.set(output.id, place);
    return { place, dtype: output.dtype, shape: output.shape };
  }

  #aside(value: Value): Tensor {
    const place: Place = { at: "scratch", index: this.#scratch.length };
    const tensor: Tensor = { place, dtype: value.dtype, shape: value.shape };
    this.#scratch.push(tensor);
    this.#places.set(value.id, place);
    return tensor;
  }

  #tensor(value: Value): Tensor {
    const { dtype, shape } = value;
    const producer = this.#uses.producer(value);
    const place: Place | undefined =
      producer !== undefined && isOf("constant", producer)
        ? { at: "constant", value: producer.attrs.value }
        : this.#places.get(value.id);
    if (place === undefined) throw new ProgramError(`${producer?.op.name ?? "a value"} is read before it is made`);
    return { place, dtype, shape };
  }

  #graph(nodes: readonly Node[], position: number): GraphStep {
    const emitter = new Emitter();
    const feeds: { name: string; value: Value; tensor: Tensor }[] = [];
    const made: Value[] = [];
    const emit = (node: Node): void => {
      const lowering = lowerings.get(node.op.name);
      if (lowering === undefined) throw new ProgramError(`the ONNX engine has no lowering for ${node.op.name}`);
      for (const input of node.inputs) need(input);
      const inputs = node.inputs.map((input) => emitter.name(input));
      const outputs = lowering(emitter, node, inputs);
      node.outputs.forEach((value, i) => {
        emitter.bind(value, outputs[i]);
      });
    };
    const need = (value: Value): void => {
      if (emitter.knows(value)) return;
      const producer = this.#uses.producer(value);
      if (producer !== undefined && isFree(producer)) {
        emit(producer);
        return;
      }
      const name = `x${value.id}`;
      feeds.push({ name, value, tensor: this.#tensor(value) });
      emitter.bind(value, name);
    };
    for (const node of nodes) {
      emit(node);
      made.push(...node.outputs.filter(({ id }) => (this.#lastRead.get(id) ?? 0) > position));
    }
    const name = `phase ${position + 1} (${nodes[0].op.name} … ${nodes[nodes.length - 1].op.name})`;
    const normed = made.filter((value) =>
      this.#uses.readers(value).some(({ op }) => hostOperations[op.name]?.ofSquares),
    );
    const squares = normed.map(({ id, dtype, shape }, i): Value => {
      const sums = { id: -1 - i, dtype, shape: shape.slice(0, -1) };
      const axes = emitter.longs(shape.length === 0 ? [] : [shape.length - 1]);
      const attributes = { keepdims: { int: 0 }, noop_with_empty_axes: { int: 0 } };
      emitter.bind(sums, emitter.node("ReduceSumSquare", [emitter.name({ id, dtype, shape }), axes], attributes));
      return sums;
    });
    const { model, outputs } = emitter.model(name, feeds, [...made, ...squares]);
    const fetches = [...made, ...squares].map(({ id, dtype, shape }, i) => {
      const place: Place = { at: "result", index: this.#results++ };
      const tensor = { place, dtype, shape };
      if (id < 0) this.#squares.set(normed[-1 - id].id, tensor);
      else this.#places.set(id, place);
      return { name: outputs[i], tensor };
    });
    const work = nodes.reduce((sum, node) => sum + costOf(node), 0);
    return {
      kind: "graph",
      name,
      model,
      large: work > LARGE,
      feeds: feeds.map(({ name, tensor }) => ({ name, tensor })),
      fetches,
    };
  }
}
