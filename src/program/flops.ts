/** What a program costs: operations counted from its nodes, a multiply-add as two, the backward part as it stands. */
import type { Program } from "./graph.ts";

export interface Flops {
  readonly total: number;
  /** By the operation's name; a composite counts as a whole. */
  readonly byOp: Readonly<Record<string, number>>;
}

export function flops(program: Program): Flops {
  const byOp: Record<string, number> = {};
  let total = 0;
  for (const node of program.nodes) {
    const cost = node.op.flops(node.inputs, node.outputs, node.attrs);
    byOp[node.op.name] = (byOp[node.op.name] ?? 0) + cost;
    total += cost;
  }
  return { total, byOp };
}
