/** What composites have in common: a composite costs what the operations it stands for cost. */
import { ProgramBuilder } from "./builder.ts";
import type { Attributes, Operation, Type } from "./graph.ts";

/** The cost of an operation's expansion, every output of it computed. */
export function expansionFlops<A extends Attributes>(op: Operation<A>, inputs: readonly Type[], attrs: A): number {
  const b = new ProgramBuilder();
  const values = inputs.map((type, i) => b.input(`${i}`, type.shape, type.dtype));
  op.expand?.(b, values, attrs);
  return b.nodes.reduce((total, node) => total + node.op.flops(node.inputs, node.outputs, node.attrs), 0);
}
