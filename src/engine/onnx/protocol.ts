/** What the engine and its worker say to each other. Requests are answered one after the other, in their order. */
import type { DType, Shape } from "../../program/graph.ts";
import type { TensorData } from "../engine.ts";
import type { Plan } from "./plan.ts";

/** What the worker is started with. */
export interface WorkerSettings {
  readonly threads: number;
  /** [whether onnxruntime is at work, whether the process is ending], shared by both sides. */
  readonly flags: Int32Array<SharedArrayBuffer>;
}

export type Request =
  | { readonly kind: "version" }
  | { readonly kind: "compile"; readonly program: number; readonly plan: Plan }
  | { readonly kind: "run"; readonly program: number; readonly inputs: Readonly<Record<string, TensorData>> }
  | { readonly kind: "release"; readonly program: number }
  | {
      readonly kind: "write";
      readonly name: string;
      readonly dtype: DType;
      readonly shape: Shape;
      readonly data: TensorData;
    }
  | { readonly kind: "read"; readonly name: string }
  | { readonly kind: "drop"; readonly names: readonly string[] }
  | { readonly kind: "close" };

export interface Answer {
  readonly id: number;
  readonly text?: string;
  readonly data?: TensorData;
  readonly outputs?: Readonly<Record<string, TensorData>>;
  /** Instead of a result. */
  readonly error?: string;
}

export interface Message {
  readonly id: number;
  readonly request: Request;
}
