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

export type AfterProduct =
  | { readonly kind: "add"; readonly operand: Window }
  | { readonly kind: "scale"; readonly factor: number };

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

export type Step = { readonly of: StepClass } & (
  | {
      readonly do: "matmul";
      readonly a: Window;
      readonly b: Window;
      readonly c: Window;
      readonly bias?: Window;
      readonly after: readonly AfterProduct[];
    }
  | {
      readonly do: "eltwise";
      readonly algorithm: Algorithm;
      readonly x: Window;
      readonly y: Window;
      readonly alpha: number;
      readonly beta: number;
    }
  | {
      readonly do: "eltwiseBackward";
      readonly algorithm: Algorithm;
      readonly x: Window;
      readonly dy: Window;
      readonly dx: Window;
      readonly alpha: number;
    }
  | {
      readonly do: "layerNorm";
      readonly x: Window;
      readonly y: Window;
      readonly mean: Window;
      readonly variance: Window;
      readonly gain: Window;
      readonly shift: Window;
      readonly eps: number;
    }
  | {
      readonly do: "layerNormBackward";
      readonly x: Window;
      readonly dy: Window;
      readonly dx: Window;
      readonly mean: Window;
      readonly variance: Window;
      readonly gain: Window;
      readonly shift: Window;
      readonly dgain: Window;
      readonly dshift: Window;
      readonly eps: number;
    }
  | {
      readonly do: "binary";
      readonly algorithm: "add" | "sub" | "mul" | "div";
      readonly x: Window;
      readonly y: Window;
      readonly z: Window;
    }
  /** Over the last dimension. */
  | { readonly do: "softmax"; readonly x: Window; readonly y: Window }
  | { readonly do: "reorder"; readonly x: Window; readonly y: Window }
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
export function windowsOf(step: Step): readonly Window[] {
  switch (step.do) {
    case "matmul": {
      const operands = step.after.flatMap((after) => (after.kind === "add" ? [after.operand] : []));
      return [step.a, step.b, step.c, ...(step.bias === undefined ? [] : [step.bias]), ...operands];
    }
    case "eltwise":
    case "softmax":
    case "reorder":
      return [step.x, step.y];
    case "eltwiseBackward":
      return [step.x, step.dy, step.dx];
    case "layerNorm":
      return [step.x, step.y, step.mean, step.variance, step.gain, step.shift];
    case "layerNormBackward":
      return [
        ...[step.x, step.dy, step.dx, step.mean, step.variance],
        ...[step.gain, step.shift, step.dgain, step.dshift],
      ];
    case "binary":
      return [step.x, step.y, step.z];
    case "kernel":
      return step.args.filter((arg) => typeof arg === "object" && arg !== null);
    case "fill":
      return [step.x];
    case "reference":
      return [...step.inputs.map((input) => input.window), step.output.window];
  }
}

/** A program laid out: plain data, so that it can be sent to a worker and counted in a test. */
export interface Plan {
  readonly steps: readonly Step[];
  /** Byte offset of each buffer in the scratch region. */
  readonly offsets: readonly number[];
  readonly scratchBytes: number;
  readonly inputs: readonly { readonly name: string; readonly type: Type; readonly window: Window }[];
  readonly outputs: readonly { readonly name: string; readonly type: Type; readonly window: Window }[];
  readonly states: readonly { readonly name: string; readonly type: Type }[];
}
