/**
 * Splits a program into phases: even ones run on the host, odd ones are a graph each. A node's phase is the first in
 * which its inputs are there, so a training step becomes dropout patterns, the graph of the two passes, the gradient
 * norm, a small graph for the clipping factor, and AdamW.
 */
import type { Node, Program } from "../../program/graph.ts";
import { hostNodes } from "./host.ts";

/** A graph's phase, or one node of the host. */
export interface Move {
  readonly kind: "host" | "graph";
  readonly nodes: readonly Node[];
}

/** Constants belong to no phase: every one that reads a constant has it. */
export function isFree(node: Node): boolean {
  return node.op.name === "constant";
}

export function partition(program: Program): readonly Move[] {
  const host = hostNodes(program);
  const levels = new Map<number, number>();
  const phases: Node[][] = [];
  for (const node of program.nodes) {
    if (isFree(node)) continue;
    const parity = host.has(node) ? 0 : 1;
    const after = Math.max(0, ...node.inputs.map(({ id }) => levels.get(id) ?? 0));
    const level = after % 2 === parity ? after : after + 1;
    for (const { id } of node.outputs) levels.set(id, level);
    while (phases.length <= level) phases.push([]);
    phases[level].push(node);
  }
  return phases.flatMap((nodes, level): Move[] => {
    if (level % 2 === 0) return nodes.map((node) => ({ kind: "host", nodes: [node] }));
    return nodes.length === 0 ? [] : [{ kind: "graph", nodes }];
  });
}
