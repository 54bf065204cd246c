/**
 * Evaluates a program in float64, node by node: what the reference engine runs, and what finite differences are taken
 * of. Composites are expanded into primitives first.
 */
import { expand } from "../../program/expand.ts";
import type { Program, Value } from "../../program/graph.ts";
import { usesOf } from "../../program/uses.ts";
import { kernels, type Numbers } from "./kernels.ts";

/** A program in primitives alone. @throws if it has one that no kernel knows */
export function toPrimitives(program: Program): Program {
  const expanded = expand(program, () => false);
  for (const { op } of expanded.nodes) {
    if (!kernels.has(op.name)) throw new Error(`the reference engine knows no operation ${op.name}`);
  }
  return expanded;
}

/** The outputs, and what each changed state becomes, by name, of a program in primitives whose inputs and states are all there. */
export function run(program: Program, inputs: ReadonlyMap<string, Numbers>, states: ReadonlyMap<string, Numbers>) {
  const values = new Map<number, Numbers>();
  for (const [leaves, numbers] of [
    [program.inputs, inputs],
    [program.states, states],
  ] as const) {
    for (const [name, { id }] of leaves) values.set(id, known(numbers.get(name), name));
  }
  const { readers, isKept } = usesOf(program);
  for (const node of program.nodes) {
    const numbers = node.inputs.map(({ id }) => known(values.get(id), node.op.name));
    const [output] = node.outputs;
    values.set(output.id, known(kernels.get(node.op.name), node.op.name).run(numbers, node.attrs, node));
    for (const value of node.inputs) if (readers(value).at(-1) === node && !isKept(value)) values.delete(value.id);
  }
  const results = (named: ReadonlyMap<string, Value>) =>
    new Map([...named].map(([name, { id }]) => [name, known(values.get(id), name)]));
  return { outputs: results(program.outputs), updates: results(program.updates) };
}

export function known<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the program has no value for ${what}`);
  return value;
}
