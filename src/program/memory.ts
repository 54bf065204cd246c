/** How much room the values of a program take while it runs. */
import { type Program, size } from "./graph.ts";

/** The largest sum of values alive at once as a program runs node by node, in bytes. */
export function workingBytes(program: Program): number {
  const lastUse = new Map<number, number>();
  program.nodes.forEach((node, i) => {
    for (const value of [...node.inputs, ...node.outputs]) lastUse.set(value.id, i);
  });
  // What outputs and updates keep, and what stands elsewhere: inputs and states.
  const kept = new Set(
    [program.outputs, program.updates, program.inputs, program.states].flatMap((leaves) =>
      [...leaves.values()].map((value) => value.id),
    ),
  );
  let alive = 0;
  let most = 0;
  program.nodes.forEach((node, i) => {
    for (const output of node.outputs) alive += 4 * size(output.shape);
    most = Math.max(most, alive);
    const made = new Set([...node.inputs, ...node.outputs]);
    for (const value of made) {
      if (lastUse.get(value.id) === i && !kept.has(value.id)) alive -= 4 * size(value.shape);
    }
  });
  return most;
}
