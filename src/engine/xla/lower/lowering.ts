/** What a lowering is: it says a node in StableHLO and returns what stands for its outputs. */
import type { Node } from "../../../program/graph.ts";
import type { Emitter, Ref } from "../emitter.ts";

export interface Precision {
  /** The operands of products are rounded to bf16; sums are f32 all the same. */
  readonly halves: boolean;
}

export type Lowering = (e: Emitter, node: Node, inputs: readonly Ref[], precision: Precision) => readonly Ref[];

/** Operation name → lowering. */
export type Lowerings = Readonly<Record<string, Lowering>>;
