/**
 * The reference engine: every program in float64, in this process, by plain loops. Slow, exact and the same everywhere;
 * it is what other engines are held against, and `probe --engine reference` asks it. Tensors are rounded to f32 only
 * where they leave: what it keeps between runs stays in float64.
 */
import type { Program, Type } from "../../program/graph.ts";
import { UserError } from "../../util/errors.ts";
import { type Device, DeviceEngine, type Tensors } from "../device.ts";
import type { Engine, EngineKind, EngineSettings, TensorData } from "../engine.ts";
import { known, run, toPrimitives } from "./evaluate.ts";
import type { Numbers } from "./kernels.ts";

const DESCRIPTION = "reference, float64 inside, one thread";

export const referenceEngine: EngineKind = {
  kind: "reference",
  probe: async () => ({ usable: true, description: DESCRIPTION }),
  async open(settings: EngineSettings): Promise<Engine> {
    if (settings.precision === "bf16") {
      const what = "the reference engine computes in float64 alone";
      throw new UserError(what, "engine.precision", "leave the precision at auto, or choose another engine");
    }
    return new DeviceEngine("reference", DESCRIPTION, new ReferenceDevice(), toPrimitives);
  },
};

class ReferenceDevice implements Device<Program> {
  readonly #held = new Map<string, Numbers>();
  readonly #programs = new Map<number, Program>();

  load(program: number, primitive: Program): undefined {
    this.#programs.set(program, primitive);
  }

  run(program: number, inputs: Tensors): Record<string, TensorData> {
    const primitive = this.#programs.get(program);
    if (primitive === undefined) throw new Error("the program was released");
    const given = new Map(Object.entries(inputs).map(([name, data]) => [name, enter(data)]));
    const { outputs, updates } = run(primitive, given, this.#held);
    // All is computed before anything changes, and no kernel writes into its inputs.
    for (const [name, numbers] of updates) this.#held.set(name, numbers);
    return Object.fromEntries([...outputs].map(([name, numbers]) => [name, leave(numbers)]));
  }

  unload(program: number): void {
    this.#programs.delete(program);
  }

  write(name: string, _type: Type, data: TensorData): void {
    this.#held.set(name, enter(data));
  }

  read(name: string): TensorData {
    return leave(known(this.#held.get(name), name));
  }

  drop(names: readonly string[]): void {
    for (const name of names) this.#held.delete(name);
  }

  close(): void {
    this.#held.clear();
  }
}

function enter(data: TensorData): Numbers {
  return data instanceof Int32Array ? data.slice() : Float64Array.from(data);
}

function leave(numbers: Numbers): TensorData {
  return numbers instanceof Int32Array ? numbers.slice() : Float32Array.from(numbers);
}
