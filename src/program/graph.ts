/**
 * The tensor program: what a training step computes, said once, without saying who computes it.
 *
 * A program is a list of nodes in topological order over values of static shape. It is checked as it is built, is
 * differentiated once (differentiate.ts), and is then lowered by an engine: to ONNX, to a library's primitives, to
 * another compiler's text. Composites (attention, layer norm, GELU, cross-entropy, AdamW) stay whole until an engine
 * that has no lowering for one expands it (expand.ts).
 *
 * Two kinds of number exist: `f32`, a real, whose precision is a setting of the lowering, and `i32`, an index.
 */

export type DType = "f32" | "i32";
export type Shape = readonly number[];

export interface Type {
  readonly dtype: DType;
  /** Row-major extents; [] is a scalar. */
  readonly shape: Shape;
}

/** A value of a program: a tensor whose numbers exist only when an engine runs it. */
export interface Value extends Type {
  readonly id: number;
}

export type Attribute = number | string | boolean | readonly number[];
export type Attributes = Readonly<Record<string, Attribute>>;

export type NoAttributes = Readonly<Record<string, never>>;

export interface Node<A extends Attributes = Attributes> {
  readonly op: Operation;
  readonly inputs: readonly Value[];
  readonly attrs: A;
  readonly outputs: readonly Value[];
}

/**
 * What an operation is: its shape rule, gradient, cost, and for a composite what it is made of. Operations stand under
 * ops/, each with its gradient's. Optional inputs come last and are left off when absent; which are there is said by an
 * attribute or by the number of inputs.
 */
export interface Operation<A extends Attributes = Attributes> {
  readonly name: string;
  /** The outputs' types. @throws ProgramError if the inputs do not fit together. */
  infer(inputs: readonly Type[], attrs: A): readonly Type[];
  /**
   * The gradient for each input, given that of the first output; null, or none at the end, for what is not wanted or has
   * none. Absent: the operation is not differentiable. Differentiating through what has none throws. What an operation
   * returns beside its first output (a norm's statistics, attention's probabilities) is saved for the backward pass: a loss
   * can't be taken through it.
   */
  gradient?(
    b: Builder,
    gradients: readonly Value[],
    node: Node<A>,
    wanted: readonly boolean[],
  ): readonly (Value | null)[];
  /** The gradient is given those of all outputs, of zeros where nothing depends on one. */
  readonly ofAllOutputs?: boolean;
  /**
   * No gradient passes: held back on purpose, or zero wherever it exists. Differentiation does nothing below it.
   */
  readonly stops?: boolean;
  /**
   * Operations, a multiply-add counting as two; data movement counts nothing. Absent: what the expansion costs, and
   * nothing where there is none.
   */
  flops?(inputs: readonly Type[], outputs: readonly Type[], attrs: A): number;
  /** A composite's definition in simpler operations: the values that stand for its outputs. */
  expand?(b: Builder, inputs: readonly Value[], attrs: A): readonly Value[];
}

/** A program as an engine receives it. Nothing in it changes once it is built. */
export interface Program {
  /** In topological order; only what an output or an update needs. */
  readonly nodes: readonly Node[];
  /** What is given at each run. */
  readonly inputs: ReadonlyMap<string, Value>;
  /** Inputs along whose first axis sequences lie one after the other, and how many: so far a batch may be split. */
  readonly batched: ReadonlyMap<string, number>;
  /** Tensors that live in the engine between runs, as they are before a run. */
  readonly states: ReadonlyMap<string, Value>;
  /** What a run returns. */
  readonly outputs: ReadonlyMap<string, Value>;
  /** What each changed state becomes after a run. All reads of a state in a run see its value before the run. */
  readonly updates: ReadonlyMap<string, Value>;
}

/** A defect in how a program was put together: never the user's fault. */
export class ProgramError extends Error {
  override readonly name = "ProgramError";
}

/** What an operation's own functions need of the builder. */
export interface Builder {
  /** Adds a node; infers and checks. @throws ProgramError */
  apply<A extends Attributes>(op: Operation<A>, inputs: readonly Value[], attrs: A): readonly Value[];
}

export function size(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, i) => extent === b[i]);
}
