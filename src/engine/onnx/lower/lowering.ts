/** What a lowering is: it says an operation's node in ONNX and names what stands for its outputs. */
import type { Node } from "../../../program/graph.ts";
import type { Emitter } from "../emitter.ts";

/** @returns the ONNX names of the node's outputs, in order. */
export type Lowering = (e: Emitter, node: Node, inputs: readonly string[]) => readonly string[];

/** Operation name → lowering. */
export type Lowerings = Readonly<Record<string, Lowering>>;
