/**
 * What operations check of their inputs. Every failure is a ProgramError that names the operation and what did not fit.
 */
import { ProgramError, type Shape, sameShape, type Type, type Value } from "./graph.ts";

export function fail(op: string, message: string): never {
  throw new ProgramError(`${op}: ${message}`);
}

/** From `least` to `most` inputs. */
export function expectCount(op: string, inputs: readonly Type[], least: number, most = least): void {
  if (inputs.length < least || inputs.length > most) {
    fail(op, `takes ${least === most ? least : `${least} to ${most}`} inputs, not ${inputs.length}`);
  }
}

/** A real tensor, of the given rank if one is given. */
export function expectReal(op: string, what: string, type: Type, rank?: number): void {
  if (type.dtype !== "f32") fail(op, `${what} must be f32, not ${type.dtype}`);
  expectRank(op, what, type, rank);
}

/** An index tensor, of the given rank if one is given. */
export function expectIndex(op: string, what: string, type: Type, rank?: number): void {
  if (type.dtype !== "i32") fail(op, `${what} must be i32, not ${type.dtype}`);
  expectRank(op, what, type, rank);
}

/** A real tensor of exactly this shape. */
export function expectShape(op: string, what: string, type: Type, shape: Shape): void {
  expectReal(op, what, type);
  if (!sameShape(type.shape, shape)) fail(op, `${what} must be [${shape}], not [${type.shape}]`);
}

/** An axis of the tensor: a whole number from 0 to rank − 1. */
export function expectAxis(op: string, axis: number, type: Type): void {
  if (!Number.isInteger(axis) || axis < 0 || axis >= type.shape.length) {
    fail(op, `[${type.shape}] has no axis ${axis}`);
  }
}

/**
 * The gradient of an operation's first output. What an operation returns beside it (a norm's statistics, attention's
 * probabilities) is saved for the backward pass; a loss can't be taken through it.
 */
export function gradientOfFirst(op: string, gradients: readonly (Value | null)[]): Value {
  const [first, ...rest] = gradients;
  if (!first || rest.some((gradient) => gradient !== null)) fail(op, "only its first output is differentiable");
  return first;
}

function expectRank(op: string, what: string, type: Type, rank: number | undefined): void {
  if (rank !== undefined && type.shape.length !== rank) {
    fail(op, `${what} must have ${rank} dimensions, not the shape [${type.shape}]`);
  }
}

export function expectGroups(op: string, groups: number, rows: number, ids: number): void {
  if (rows % groups !== 0 || ids % groups !== 0) fail(op, `${rows} rows and ${ids} ids are not ${groups} of each`);
}
