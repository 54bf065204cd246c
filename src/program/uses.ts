/** Who makes the values of a program, and who reads them. */
import type { Node, Program, Value } from "./graph.ts";

export interface Uses {
  readonly order: ReadonlyMap<Node, number>;
  producer(value: Pick<Value, "id">): Node | undefined;
  /** In order, a node as often as it reads the value. */
  readers(value: Pick<Value, "id">): readonly Node[];
  /** Whether an output or an update is this value. */
  isKept(value: Pick<Value, "id">): boolean;
}

export function usesOf({ nodes, outputs, updates }: Program): Uses {
  const producers = new Map<number, Node>();
  const readers = new Map<number, Node[]>();
  for (const node of nodes) {
    for (const { id } of node.inputs) {
      const known = readers.get(id);
      if (known === undefined) readers.set(id, [node]);
      else known.push(node);
    }
    for (const { id } of node.outputs) producers.set(id, node);
  }
  const kept = new Set([...outputs.values(), ...updates.values()].map(({ id }) => id));
  return {
    order: new Map(nodes.map((node, i) => [node, i])),
    producer: ({ id }) => producers.get(id),
    readers: ({ id }) => readers.get(id) ?? [],
    isKept: ({ id }) => kept.has(id),
  };
}
