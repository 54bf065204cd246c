/** Rewrites a program for an engine that has no lowering of its own for some composites. */
import { ProgramBuilder } from "./builder.ts";
import type { Builder, Operation, Program, Value } from "./graph.ts";

/**
 * The same program with every composite for which `keep` is false replaced by its expansion, and theirs in turn.
 * Inputs, states, outputs and updates keep their names; an input or state that only an unread output needed is gone.
 */
export function expand(program: Program, keep: (op: Operation) => boolean): Program {
  const target = new ProgramBuilder();
  const expanding: Builder = {
    apply(op, inputs, attrs) {
      return op.expand !== undefined && !keep(op)
        ? op.expand(expanding, inputs, attrs)
        : target.apply(op, inputs, attrs);
    },
  };
  const values = new Map<number, Value>();
  const mapped = (value: Value): Value => {
    const known = values.get(value.id);
    if (known === undefined) throw new Error(`value ${value.id} is used before it is made`);
    return known;
  };
  for (const [name, { id, shape, dtype }] of program.inputs) {
    values.set(id, target.input(name, shape, dtype, program.batched.get(name)));
  }
  for (const [name, { id, shape, dtype }] of program.states) values.set(id, target.state(name, shape, dtype));
  for (const node of program.nodes) {
    const made = expanding.apply(node.op, node.inputs.map(mapped), node.attrs);
    node.outputs.forEach((output, i) => {
      values.set(output.id, made[i]);
    });
  }
  for (const [name, value] of program.outputs) target.output(name, mapped(value));
  for (const [name, value] of program.updates) target.update(name, mapped(value));
  return target.build();
}
