/**
 * Host operations: what ONNX is bad at. Every output of a graph is allocated and copied, so a graph that returned
 * parameters and moments would move three tensors where a kernel beside it changes them where they are. This is the
 * table that splits a program; worker.ts runs them.
 */
import type { Node, Program, Value } from "../../program/graph.ts";

/** Output → the input it may take the place of. */
type InPlace = Readonly<Record<number, number>>;

interface HostOperation {
  /** Whether this node runs on the host; always, unless said. */
  readonly when?: (node: Node, roles: Roles) => boolean;
  readonly inPlace: InPlace;
}

/** What the program does with values beside computing. */
export interface Roles {
  readonly states: ReadonlySet<number>;
  readonly updates: ReadonlySet<number>;
  readonly readers: ReadonlyMap<number, number>;
}

export const hostOperations: Readonly<Record<string, HostOperation>> = {
  adamw: { inPlace: { 0: 0, 1: 2, 2: 3, 3: 4 } },
  globalNorm: { inPlace: {} },
  dropoutMask: { inPlace: {} },
  // An accumulator: a state plus something of its shape, which nobody else reads.
  add: {
    inPlace: { 0: 0 },
    when: ({ inputs: [x, y], outputs: [sum] }, roles) =>
      roles.updates.has(sum.id) &&
      !roles.readers.has(sum.id) &&
      roles.states.has(x.id) &&
      x.shape.length === y.shape.length &&
      x.shape.every((extent, i) => extent === y.shape[i]),
  },
};

export function roles(program: Program): Roles {
  const readers = new Map<number, number>();
  for (const { inputs } of program.nodes) {
    for (const { id } of inputs) readers.set(id, (readers.get(id) ?? 0) + 1);
  }
  const ids = (values: Iterable<Value>) => new Set([...values].map(({ id }) => id));
  return { states: ids(program.states.values()), updates: ids(program.updates.values()), readers };
}

export function runsOnHost(node: Node, roles: Roles): boolean {
  const host = hostOperations[node.op.name];
  return host !== undefined && (host.when?.(node, roles) ?? true);
}
