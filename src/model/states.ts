/** A model's parameters as states of a program: each under its name, with the shape of its table. */
import type { ProgramBuilder } from "../program/builder.ts";
import { ProgramError, type Value } from "../program/graph.ts";
import type { Model } from "./architecture.ts";
import { type Norm, shapeOf } from "./table.ts";

interface NormStates {
  readonly kind: Norm["kind"];
  readonly gain: Value;
  readonly shift: Value | null;
}

export type ModelStates = ReturnType<typeof statesOf>;

/** The states of one block, or of what stands outside the blocks, by their names within it. */
export function statesOf(b: ProgramBuilder, model: Pick<Model, "parameters">, layer: number | null = null) {
  const parameters = new Map(model.parameters.filter((one) => one.layer === layer).map((one) => [one.kind, one]));

  /** @throws ProgramError if the table has no such parameter */
  function value(kind: string): Value {
    const parameter = parameters.get(kind);
    if (parameter === undefined) throw new ProgramError(`block ${layer ?? "none"} has no parameter ${kind}`);
    return b.state(parameter.name, shapeOf(parameter));
  }

  /** Undefined where the table has none of that name. */
  function normIf(kind: string | undefined): NormStates | undefined {
    const is = parameters.get(`${kind}.weight`)?.norm;
    if (is === undefined) return undefined;
    return { kind: is.kind, gain: value(`${kind}.weight`), shift: valueIf(`${kind}.bias`) };
  }

  /** Null where the table has none of that name. */
  function valueIf(kind: string): Value | null {
    return parameters.has(kind) ? value(kind) : null;
  }

  return { value, normIf, valueIf };
}
