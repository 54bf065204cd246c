/**
 * A program made ready for the worker: plain data that can be posted to it. Graphs for onnxruntime and host operations
 * (host.ts) take turns; tensors flow between them by place.
 */
import type { Attributes, DType, Shape } from "../../program/graph.ts";
import type { Model } from "./emitter.ts";

/** Where a tensor is while a program runs. */
export type Place =
  /** What the caller gave, by its name. */
  | { readonly at: "input"; readonly name: string }
  /** The engine's own, by its name. */
  | { readonly at: "state"; readonly name: string }
  /** Room that belongs to the program, for what host operations make. */
  | { readonly at: "scratch"; readonly index: number }
  /** What a graph gave in this run. */
  | { readonly at: "result"; readonly index: number }
  /** One number everywhere. */
  | { readonly at: "constant"; readonly value: number };

export interface Tensor {
  readonly place: Place;
  readonly dtype: DType;
  readonly shape: Shape;
}

export interface GraphStep {
  readonly kind: "graph";
  /** For messages: which part of the program it is. */
  readonly name: string;
  readonly model: Model;
  /** Worth more than one thread. */
  readonly large: boolean;
  readonly feeds: readonly { readonly name: string; readonly tensor: Tensor }[];
  readonly fetches: readonly { readonly name: string; readonly tensor: Tensor }[];
}

export interface HostStep<A extends Attributes = Attributes> {
  readonly kind: "host";
  readonly op: string;
  readonly attrs: A;
  readonly inputs: readonly Tensor[];
  /** An output in the place of an input is made in place. */
  readonly outputs: readonly Tensor[];
}

export interface Plan {
  readonly steps: readonly (GraphStep | HostStep)[];
  readonly scratch: readonly { readonly dtype: DType; readonly shape: Shape }[];
  /** After the steps: states that are not updated in place take these values. */
  readonly commits: readonly { readonly state: string; readonly from: Tensor }[];
  readonly outputs: readonly { readonly name: string; readonly from: Tensor }[];
}
