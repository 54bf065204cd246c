/**
 * The steps of a plan, as plain data: what the worker executes in order. A window is a strided view of a buffer that
 * the plan laid out (by number) or of a tensor that lives in the engine (by name); addresses are known only to the
 * worker. Elements are f32 or i32, four bytes, or bf16, two.
 */
import type { Attributes, Type } from "../../program/graph.ts";
import type { Algorithm } from "./library.ts";

export type Base = { readonly buffer: number } | { readonly state: string };

export interface Window {
  readonly base: Base;
  /** Elements from the base's start. */
  readonly skip: number;
  readonly dims: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  readonly type: "f32" | "bf16";
}

export function bytesOf(type: Window["type"]): number {
  return type === "bf16" ? 2 : 4;
}

/** What a step is, for the profile: the classes of operations that a person reads. */
export type StepClass =
  | "product"
  | "attention"
  | "norm"
  | "activation"
  | "loss"
  | "lookup"
  | "optimizer"
  | "elementwise"
  | "cast";

type Of<Names extends string, T = Window> = { readonly [K in Names]: T };

/** What is done to a product's result before it is stored. */
export type AfterProduct =
  | { readonly kind: "add"; readonly operand: Window }
  | { readonly kind: "scale"; readonly factor: number };

/** What oneDNN does. */
export type PrimitiveStep =
  /** c = a · b (+ bias over c's last dimension), then what `after` says in order. Leading dimensions broadcast. */
  | ({ readonly do: "matmul"; readonly bias?: Window; readonly after: readonly AfterProduct[] } & Of<"a" | "b" | "c">)
  /** y = f(x); for `linear`, alpha · x + beta; for `pow`, alpha · x^beta. In place where x and y are the same. */
  | ({ readonly do: "eltwise"; readonly algorithm: Algorithm } & Of<"x" | "y"> & Of<"alpha" | "beta", number>)
  /** dx = f'(x) · dy. */
  | ({ readonly do: "eltwiseBackward"; readonly algorithm: Algorithm } & Of<"x" | "dy" | "dx"> & Of<"alpha", number>)
  /** Over the last dimension; mean and variance [rows] in f32 are kept for the backward pass. */
  | ({ readonly do: "layerNorm"; readonly eps: number } & Of<"x" | "y" | "mean" | "variance" | "gain" | "shift">)
  /** Gradients of its input, gain and shift, from what the forward pass kept. */
  | ({ readonly do: "layerNormBackward"; readonly eps: number } & Of<
      "x" | "dy" | "dx" | "mean" | "variance" | "gain" | "shift" | "dgain" | "dshift"
    >)
  /** z = x ∘ y, y broadcasting over x where an extent is 1. */
  | ({ readonly do: "binary"; readonly algorithm: "add" | "sub" | "mul" | "div" } & Of<"x" | "y" | "z">)
  /** Softmax over the last dimension; a copy with a change of strides or type. */
  | ({ readonly do: "softmax" | "reorder" } & Of<"x" | "y">);

export type Step = { readonly of: StepClass } & (
  | PrimitiveStep
  | {
      /** A kernel of ours; with `split` it is called for parts of 0 … split − 1, the part's bounds as last arguments. */
      readonly do: "kernel";
      readonly name: string;
      readonly args: readonly (number | Window | null)[];
      readonly split?: number;
    }
  | { readonly do: "fill"; readonly x: Window; readonly value: number }
  | {
      /** A primitive that training does not need often enough to have a kernel: the reference engine's, in f32. */
      readonly do: "reference";
      readonly op: string;
      readonly attrs: Attributes;
      readonly inputs: readonly { readonly type: Type; readonly window: Window }[];
      readonly output: { readonly type: Type; readonly window: Window };
    }
);

/** All windows of a step: what it reads and writes. */
export function windowsOf(part: unknown): readonly Window[] {
  if (typeof part !== "object" || part === null) return [];
  return isWindow(part) ? [part] : Object.values(part).flatMap(windowsOf);
}

function isWindow(part: object): part is Window {
  return "base" in part;
}

/** A program laid out: plain data, so that it can be sent to a worker and counted in a test. */
export interface Plan {
  readonly steps: readonly Step[];
  /** Byte offset of each buffer in the scratch region. */
  readonly offsets: readonly number[];
  readonly scratchBytes: number;
  readonly inputs: readonly { readonly name: string; readonly type: Type; readonly window: Window }[];
  readonly outputs: readonly { readonly name: string; readonly type: Type; readonly window: Window }[];
}
