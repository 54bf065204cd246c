/** Attributes of a node by the kind of value its operation declares; anything else is a defect and throws. */
import { type Attributes, ProgramError } from "../program/graph.ts";

function wrong(attrs: Attributes, name: string, kind: string): never {
  throw new ProgramError(`attribute ${name} is ${JSON.stringify(attrs[name])}, not ${kind}`);
}

export function numberOf(attrs: Attributes, name: string): number {
  const value = attrs[name];
  return typeof value === "number" ? value : wrong(attrs, name, "a number");
}

export function textOf(attrs: Attributes, name: string): string {
  const value = attrs[name];
  return typeof value === "string" ? value : wrong(attrs, name, "a string");
}

export function flagOf(attrs: Attributes, name: string): boolean {
  const value = attrs[name];
  return typeof value === "boolean" ? value : wrong(attrs, name, "a boolean");
}

export function listOf(attrs: Attributes, name: string): readonly number[] {
  const value = attrs[name];
  return typeof value === "object" ? value : wrong(attrs, name, "a list");
}
