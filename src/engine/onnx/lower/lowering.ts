/** What a lowering is: it says an operation's node in ONNX and names what stands for its outputs. */
import type { Attributes, Node } from "../../../program/graph.ts";
import type { AttributesOf } from "../../../program/ops/index.ts";
import type { Emitter } from "../emitter.ts";

/** @returns the ONNX names of the node's outputs, in order. */
export type Lowering<A extends Attributes = Attributes> = {
  of(e: Emitter, node: Node<A>, inputs: readonly string[]): readonly string[];
}["of"];

/** By the operations' names. */
export type Lowerings = { readonly [K in keyof AttributesOf]?: Lowering<AttributesOf[K]> };
