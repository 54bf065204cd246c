/**
 * Reverse-mode differentiation: adds to a program the gradients of a scalar by some of its values.
 *
 * Only nodes that lie between a value asked for and the loss are visited, and of each node only the inputs that lead to
 * such a value get a gradient, so nothing is computed backward below what trains. Contributions to one value are added
 * in the order in which its readers stand, last first, so the same program always gives the same sums.
 */
import type { ProgramBuilder } from "./builder.ts";
import { type Node, ProgramError, sameShape, type Value } from "./graph.ts";
import { add } from "./ops/elementwise.ts";
import { constant } from "./ops/tables.ts";

/**
 * The gradient of `loss` [] by each of `wrt`, of the same shapes; a constant of zeros where the loss does not depend on
 * the value.
 * @throws ProgramError if the loss is no scalar, or the way to it leads through an operation without a gradient
 */
export function differentiate(b: ProgramBuilder, loss: Value, wrt: readonly Value[]): readonly Value[] {
  if (loss.dtype !== "f32" || loss.shape.length !== 0)
    throw new ProgramError(`a loss is a scalar, not [${loss.shape}]`);
  for (const value of wrt) {
    if (value.dtype !== "f32") throw new ProgramError("only real values have gradients");
  }
  const nodes = [...b.nodes];
  const moving = dependents(nodes, wrt);
  const gradients = new Map<number, Value>();
  if (moving.has(loss.id)) gradients.set(loss.id, constant(b, 1));

  for (const node of nodes.reverse()) {
    const incoming = node.outputs.map((output) => gradients.get(output.id) ?? null);
    const wanted = node.inputs.map((input) => moving.has(input.id));
    // A node with a gradient may have been asked for itself and lead to nothing else that was.
    if (incoming.every((gradient) => gradient === null) || !wanted.includes(true) || node.op.stops) continue;
    if (node.op.gradient === undefined) throw new ProgramError(`${node.op.name} is not differentiable`);
    const all = node.op.ofAllOutputs === true;
    if (!all && incoming.some((gradient, i) => (gradient === null) === (i === 0))) {
      throw new ProgramError(`${node.op.name}: only its first output is differentiable`);
    }
    const given = incoming
      .slice(0, all ? node.outputs.length : 1)
      .map((one, i) => one ?? constant(b, 0, node.outputs[i].shape));
    const contributions = node.op.gradient(b, given, node, wanted);
    node.inputs.forEach((input, i) => {
      if (!wanted[i]) return;
      const contribution = contributions[i] ?? null;
      if (contribution === null) throw new ProgramError(`${node.op.name} is not differentiable by its input ${i}`);
      if (!sameShape(contribution.shape, input.shape)) {
        throw new ProgramError(
          `${node.op.name} gives input ${i}, [${input.shape}], a gradient of shape [${contribution.shape}]`,
        );
      }
      const sum = gradients.get(input.id);
      gradients.set(input.id, sum === undefined ? contribution : add(b, sum, contribution));
    });
  }
  return wrt.map((value) => gradients.get(value.id) ?? constant(b, 0, value.shape));
}

/** The ids of the real values that move when one of `wrt` does. */
function dependents(nodes: readonly Node[], wrt: readonly Value[]): ReadonlySet<number> {
  const moving = new Set(wrt.map((value) => value.id));
  for (const node of nodes) {
    if (node.op.stops || !node.inputs.some((input) => moving.has(input.id))) continue;
    for (const output of node.outputs) if (output.dtype === "f32") moving.add(output.id);
  }
  return moving;
}
