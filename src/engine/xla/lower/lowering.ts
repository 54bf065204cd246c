/** What a lowering is: it says a node in StableHLO and returns what stands for its outputs. */
import type { Attributes, Node } from "../../../program/graph.ts";
import type { AttributesOf } from "../../../program/ops/index.ts";
import type { Emitter, Ref } from "../emitter.ts";

export interface Precision {
  /** The operands of products are rounded to bf16; sums are f32 all the same. */
  readonly halves: boolean;
  /** Whether attention that cuDNN has kernels for is left to them; default no. */
  readonly fused?: boolean;
  /** Of one node: products give bf16, as what comes of them is stored. */
  readonly rounded?: boolean;
}

export type Lowering<A extends Attributes = Attributes> = {
  of(e: Emitter, node: Node<A>, inputs: readonly Ref[], precision: Precision): readonly Ref[];
}["of"];

/** By the operations' names. */
export type Lowerings = { readonly [K in keyof AttributesOf]?: Lowering<AttributesOf[K]> };
