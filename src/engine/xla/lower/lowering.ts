/** What a lowering is: it says a node in StableHLO and returns what stands for its outputs. */
import type { Node } from "../../../program/graph.ts";
import type { Emitter, Ref } from "../emitter.ts";

export interface Precision {
  /** The operands of products are rounded to bf16; sums are f32 all the same. */
  readonly halves: boolean;
  /** Whether attention that cuDNN has kernels for is left to them; default no. */
  readonly fused?: boolean;
  /** Of one node: products give bf16, as what comes of them is stored. */
  readonly rounded?: boolean;
}

export type Lowering = (e: Emitter, node: Node, inputs: readonly Ref[], precision: Precision) => readonly Ref[];

/** Operation name → lowering. */
export type Lowerings = Readonly<Record<string, Lowering>>;
