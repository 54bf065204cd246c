/** What the engines' tests share: a program with numbers to run it on, and both engines' answers side by side. */
import type { Engine, EngineKind, TensorData } from "../../src/engine/engine.ts";
import { engineKinds, openEngine } from "../../src/engine/engines.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { type DType, type Shape, size, type Value } from "../../src/program/graph.ts";
import { RandomStream } from "../../src/util/random.ts";

export type Numbers = Readonly<Record<string, TensorData>>;

/** A program under construction whose inputs and states come with numbers drawn from a seed. */
export class Bench {
  readonly b = new ProgramBuilder();
  readonly inputs: Record<string, TensorData> = {};
  readonly states: Record<string, { shape: Shape; data: TensorData }> = {};
  #draws = 0;

  /** A real input, normal around `mean`. */
  real(shape: Shape, { mean = 0, std = 1 } = {}): Value {
    const name = `x${this.#draws}`;
    this.inputs[name] = this.draw(shape, mean, std);
    return this.b.input(name, shape);
  }

  /** A real input, uniform between two numbers. */
  between(low: number, high: number, shape: Shape): Value {
    const name = `x${this.#draws}`;
    const random = new RandomStream(7, "test", this.#draws++);
    this.inputs[name] = Float32Array.from({ length: size(shape) }, (_, i) => low + (high - low) * random.uniform(i));
    return this.b.input(name, shape);
  }

  /** An index input, uniform over 0 … n − 1. */
  ids(n: number, shape: Shape): Value {
    const name = `x${this.#draws}`;
    const random = new RandomStream(7, "test", this.#draws++);
    return this.given(
      name,
      shape,
      Int32Array.from({ length: size(shape) }, (_, i) => random.below(n, i)),
    );
  }

  given(name: string, shape: Shape, data: TensorData): Value {
    this.inputs[name] = data;
    const dtype: DType = data instanceof Int32Array ? "i32" : "f32";
    return this.b.input(name, shape, dtype);
  }

  state(name: string, shape: Shape, { mean = 0, std = 1 } = {}): Value {
    if (this.states[name] === undefined) this.states[name] = { shape, data: this.draw(shape, mean, std) };
    return this.b.state(name, shape);
  }

  draw(shape: Shape, mean = 0, std = 1): Float32Array {
    const random = new RandomStream(7, "test", this.#draws++);
    return Float32Array.from({ length: size(shape) }, (_, i) => mean + std * random.normal(i));
  }

  async load(engine: Engine): Promise<void> {
    for (const [name, { shape, data }] of Object.entries(this.states)) await engine.write(name, shape, data);
  }
}

/** The engines other than the reference that can run here; says which can't, and why. */
export async function usableEngines(): Promise<readonly EngineKind[]> {
  const usable: EngineKind[] = [];
  for (const kind of engineKinds) {
    if (kind.kind === "reference") continue;
    const found = await kind.probe();
    if (found.usable) usable.push(kind);
    else console.warn(`skipped: the engine ${kind.kind} (${found.reason})`);
  }
  return usable;
}

export const openOnnx = (threads = 2) => openEngine({ kind: "onnx", threads, precision: "auto" });
export const openReference = () => openEngine({ kind: "reference", threads: 1, precision: "auto" });

/** The largest difference as a share of the largest number expected. */
export function gap(actual: TensorData, expected: TensorData): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]));
    const apart = Math.abs(actual[i] - expected[i]);
    if (!(apart <= difference)) difference = apart;
  }
  return difference === 0 ? 0 : difference / largest;
}

export function sameBytes(a: TensorData, b: TensorData): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}
