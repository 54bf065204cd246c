/**
 * The reference engine: every program in float64, in this process, by plain loops. Slow, exact and the same everywhere;
 * it is what other engines are held against, and `probe --engine reference` asks it. Tensors are rounded to f32 only
 * where they leave: what it keeps between runs stays in float64.
 */
import { type Program, type Shape, sameShape, size, type Value } from "../../program/graph.ts";
import { UserError } from "../../util/errors.ts";
import type { Engine, EngineKind, EngineSettings, Executable, TensorData } from "../engine.ts";
import { run, toPrimitives } from "./evaluate.ts";
import type { Numbers } from "./kernels.ts";

const DESCRIPTION = "reference, float64 inside, one thread";

export const referenceEngine: EngineKind = {
  kind: "reference",
  probe: async () => ({ usable: true, description: DESCRIPTION }),
  async open(settings: EngineSettings): Promise<Engine> {
    if (settings.precision === "bf16") {
      throw new UserError(
        "the reference engine computes in float64 alone",
        "engine.precision",
        "leave the precision at auto, or choose another engine",
      );
    }
    return new ReferenceEngine();
  },
};

interface Held {
  readonly shape: Shape;
  numbers: Numbers;
}

class ReferenceEngine implements Engine {
  readonly kind = "reference";
  readonly description = DESCRIPTION;
  readonly #held = new Map<string, Held>();

  async compile(program: Program): Promise<Executable> {
    const primitive = toPrimitives(program);
    return {
      program,
      run: async (inputs) => this.#run(program, primitive, inputs),
      release: async () => {},
    };
  }

  async write(name: string, shape: Shape, data: TensorData): Promise<void> {
    if (data.length !== size(shape)) {
      throw new Error(`state ${name} of shape [${shape}] needs ${size(shape)} numbers, not ${data.length}`);
    }
    this.#held.set(name, { shape: [...shape], numbers: enter(data) });
  }

  async read(name: string): Promise<TensorData> {
    const held = this.#held.get(name);
    if (held === undefined) throw new Error(`the engine holds no tensor ${name}`);
    return leave(held.numbers);
  }

  names(): readonly string[] {
    return [...this.#held.keys()];
  }

  async drop(names: Iterable<string>): Promise<void> {
    for (const name of names) this.#held.delete(name);
  }

  async close(): Promise<void> {
    this.#held.clear();
  }

  #run(program: Program, primitive: Program, inputs: Readonly<Record<string, TensorData>>): Record<string, TensorData> {
    const given = new Map<string, Numbers>();
    for (const [name, value] of program.inputs) {
      const data = inputs[name];
      if (data === undefined) throw new Error(`input ${name} is missing`);
      const numbers = enter(data);
      check("input", name, value, numbers);
      given.set(name, numbers);
    }
    const states = new Map<string, Numbers>();
    for (const [name, value] of program.states) {
      const held = this.#held.get(name);
      if (held === undefined) throw new Error(`the engine holds no tensor ${name}`);
      check("state", name, value, held.numbers);
      if (!sameShape(held.shape, value.shape)) {
        throw new Error(`state ${name} is [${held.shape}], the program's [${value.shape}]`);
      }
      states.set(name, held.numbers);
    }
    const { outputs, updates } = run(primitive, given, states);
    // All is computed before anything changes, and no kernel writes into its inputs.
    for (const [name, numbers] of updates) {
      const held = this.#held.get(name);
      if (held !== undefined) held.numbers = numbers;
    }
    return Object.fromEntries([...outputs].map(([name, numbers]) => [name, leave(numbers)]));
  }
}

function check(what: string, name: string, { shape, dtype }: Value, numbers: Numbers): void {
  if (numbers.length !== size(shape) || numbers instanceof Int32Array !== (dtype === "i32")) {
    throw new Error(`${what} ${name} must be ${size(shape)} numbers of ${dtype}, not ${numbers.length}`);
  }
}

function enter(data: TensorData): Numbers {
  return data instanceof Int32Array ? data.slice() : Float64Array.from(data);
}

function leave(numbers: Numbers): TensorData {
  return numbers instanceof Int32Array ? numbers.slice() : Float32Array.from(numbers);
}
