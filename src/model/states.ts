/** A model's parameters as states of a program: each under its name, with the shape of its table. */
import type { ProgramBuilder } from "../program/builder.ts";
import { ProgramError, type Value } from "../program/graph.ts";
import type { Model } from "./architecture.ts";
import { shapeOf } from "./table.ts";

export interface LinearStates {
  readonly weight: Value;
  readonly bias: Value;
}

export interface NormStates {
  readonly gain: Value;
  readonly shift: Value;
}

export class ModelStates {
  readonly #b: ProgramBuilder;
  readonly #shapes: ReadonlyMap<string, readonly number[]>;

  constructor(b: ProgramBuilder, model: Model) {
    this.#b = b;
    this.#shapes = new Map(model.parameters.map((parameter) => [parameter.name, shapeOf(parameter)]));
  }

  /** @throws ProgramError if the table has no such parameter */
  value(name: string): Value {
    const shape = this.#shapes.get(name);
    if (shape === undefined) throw new ProgramError(`the model has no parameter ${name}`);
    return this.#b.state(name, shape);
  }

  linear(name: string): LinearStates {
    return { weight: this.value(`${name}.weight`), bias: this.value(`${name}.bias`) };
  }

  norm(name: string): NormStates {
    return { gain: this.value(`${name}.weight`), shift: this.value(`${name}.bias`) };
  }
}
