/** What a program costs: operations counted from its nodes, a multiply-add as two, the backward part as it stands. */
import { ProgramBuilder } from "./builder.ts";
import type { Node, Program, Type } from "./graph.ts";

export interface Flops {
  readonly total: number;
  /** By the operation's name; a composite counts as a whole. */
  readonly byOp: Readonly<Record<string, number>>;
}

export function flops(program: Program): Flops {
  const byOp: Record<string, number> = {};
  let total = 0;
  for (const node of program.nodes) {
    const cost = costOf(node);
    byOp[node.op.name] = (byOp[node.op.name] ?? 0) + cost;
    total += cost;
  }
  return { total, byOp };
}

/** Of one node; of a composite, every output of its expansion computed. */
export function costOf({ op, inputs, outputs, attrs }: Node): number {
  if (op.flops !== undefined || op.expand === undefined) return op.flops?.(inputs, outputs, attrs) ?? 0;
  const b = new ProgramBuilder();
  const leaf = (type: Type, i: number) => b.input(`${i}`, type.shape, type.dtype);
  op.expand(b, inputs.map(leaf), attrs);
  return b.nodes.reduce((total, node) => total + costOf(node), 0);
}
