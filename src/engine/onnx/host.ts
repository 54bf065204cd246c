/**
 * Host operations: what ONNX is bad at. Every output of a graph is allocated and copied, so a graph that returned
 * parameters and moments would move three tensors where a kernel beside it changes them where they are. This is the
 * table that splits a program; worker.ts runs them.
 */
import { type Node, type Program, sameShape, type Value } from "../../program/graph.ts";
import { type Uses, usesOf } from "../../program/uses.ts";

interface HostOperation {
  /** Whether this node runs on the host; always, unless said. */
  readonly when?: (node: Node, roles: Roles) => boolean;
  /** Output → the inputs whose place it may take. */
  readonly inPlace: Readonly<Record<number, readonly number[]>>;
  /** Of what a graph made it wants the squares alone: they are added up there, while they are at hand, on all threads. */
  readonly ofSquares?: boolean;
  /** Adds to what its output holds, so that it may begin with what a graph gave instead of zeros. */
  readonly adds?: boolean;
}

/** What the program does with values beside computing. */
export interface Roles {
  readonly states: ReadonlySet<number>;
  readonly updates: ReadonlySet<number>;
  readonly uses: Uses;
  /** The nodes found to run on the host so far: a node is asked about after those that read what it makes. */
  readonly host: ReadonlySet<Node>;
}

export const hostOperations: Readonly<Record<string, HostOperation>> = {
  adamw: { inPlace: { 0: [0], 1: [2], 2: [3], 3: [4] } },
  globalNorm: { inPlace: {}, ofSquares: true },
  dropoutMask: { inPlace: {} },
  // onnxruntime goes through the elements on one thread, 40 ns each, and a graph would give the whole table.
  scatterAdd: { inPlace: {}, adds: true, when: ({ outputs: [table] }, roles) => readOnHostAlone(table, roles) },
  // An accumulator: a state plus something of its shape, which nobody else reads. Or what was scattered on the host plus
  // another share of the same gradient, as a table that is read at both ends of a network has.
  add: {
    inPlace: { 0: [0, 1] },
    when: ({ inputs: [x, y], outputs: [sum] }, roles) => {
      if (!sameShape(x.shape, y.shape)) return false;
      const accumulates = roles.updates.has(sum.id) && roles.uses.readers(sum).length === 0 && roles.states.has(x.id);
      const { producer, readers } = roles.uses;
      const scattered = [x, y].some((of) => producer(of)?.op.name === "scatterAdd" && readers(of).length === 1);
      return accumulates || (scattered && readOnHostAlone(sum, roles));
    },
  },
};

function readOnHostAlone(value: Value, { uses, host }: Roles): boolean {
  return uses.readers(value).every((reader) => host.has(reader));
}

/** The nodes that run on the host. */
export function hostNodes(program: Program): ReadonlySet<Node> {
  const ids = (values: Iterable<Value>) => new Set([...values].map(({ id }) => id));
  const host = new Set<Node>();
  const roles: Roles = {
    states: ids(program.states.values()),
    updates: ids(program.updates.values()),
    uses: usesOf(program),
    host,
  };
  for (let i = program.nodes.length - 1; i >= 0; i--) {
    const node = program.nodes[i];
    const operation = hostOperations[node.op.name];
    if (operation !== undefined && (operation.when?.(node, roles) ?? true)) host.add(node);
  }
  return host;
}
