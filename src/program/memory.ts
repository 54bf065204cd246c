/** How much room the values of a program take while it runs. */
import { type Program, size } from "./graph.ts";
import { usesOf } from "./uses.ts";

/** The largest sum of values alive at once as a program runs node by node, in bytes. */
export function workingBytes(program: Program): number {
  const { producer, readers, isKept } = usesOf(program);
  let alive = 0;
  let most = 0;
  for (const node of program.nodes) {
    for (const output of node.outputs) alive += 4 * size(output.shape);
    most = Math.max(most, alive);
    for (const value of new Set([...node.inputs, ...node.outputs])) {
      // Inputs and states stand elsewhere; outputs and updates stay.
      const made = producer(value);
      if (made === undefined || isKept(value) || (readers(value).at(-1) ?? made) !== node) continue;
      alive -= 4 * size(value.shape);
    }
  }
  return most;
}
