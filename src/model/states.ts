/** A model's parameters as states of a program: each under its name, with the shape of its table. */
import type { ProgramBuilder } from "../program/builder.ts";
import { ProgramError, type Value } from "../program/graph.ts";
import type { Model } from "./architecture.ts";
import { type Norm, type Parameter, shapeOf } from "./table.ts";

interface NormStates {
  readonly kind: Norm["kind"];
  readonly gain: Value;
  readonly shift: Value | null;
}

/** The states of one block, or of what stands outside the blocks, by their names within it. */
export class ModelStates {
  readonly #b: ProgramBuilder;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #layer: number | null;

  constructor(b: ProgramBuilder, { parameters }: Pick<Model, "parameters">, layer: number | null = null) {
    this.#b = b;
    this.#layer = layer;
    this.#parameters = new Map(parameters.filter((one) => one.layer === layer).map((one) => [one.kind, one]));
  }

  /** @throws ProgramError if the table has no such parameter */
  value(kind: string): Value {
    const parameter = this.#parameters.get(kind);
    if (parameter === undefined) throw new ProgramError(`block ${this.#layer ?? "none"} has no parameter ${kind}`);
    return this.#b.state(parameter.name, shapeOf(parameter));
  }

  /** Undefined where the table has none of that name. */
  normIf(kind: string | undefined): NormStates | undefined {
    const is = this.#parameters.get(`${kind}.weight`)?.norm;
    if (is === undefined) return undefined;
    return { kind: is.kind, gain: this.value(`${kind}.weight`), shift: this.valueIf(`${kind}.bias`) };
  }

  /** Null where the table has none of that name. */
  valueIf(kind: string): Value | null {
    return this.#parameters.has(kind) ? this.value(kind) : null;
  }
}
