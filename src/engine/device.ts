/**
 * An engine in two halves. What does the work is a device: in this thread, in a worker's (worker.ts) or in another process.
 * What all engines do alike stands before it: programs have numbers, it is known what is held under which name, what is
 * given is checked, and after a run that failed among its updates the state is refused.
 */
import { type Program, type Shape, sameShape, size, type Type } from "../program/graph.ts";
import type { Engine, Executable, Layout, Snapshot, TensorData } from "./engine.ts";

export type Tensors = Readonly<Record<string, TensorData>>;

type Soon<T> = T | Promise<T>;

/** Answers in the order of the calls, and has copied what it is given when a call returns. */
export interface Device<P> extends Pick<Engine, "ahead" | "processes"> {
  /** @returns what there is to say of the program, and what else its inputs must be (it throws if they are not) */
  load(program: number, plan: P): Soon<(Pick<Executable, "memory"> & { check?(inputs: Tensors): void }) | undefined>;
  run(program: number, inputs: Tensors): Soon<Record<string, TensorData>>;
  profile?(program: number, inputs: Tensors): Soon<Readonly<Record<string, number>>>;
  unload(program: number): unknown;
  layout?(layout: Layout): void;
  write(name: string, type: Type, data: TensorData): unknown;
  read(name: string, type: Type): Soon<TensorData>;
  snapshot?(states: ReadonlyMap<string, Type>): Promise<Snapshot>;
  drop(names: readonly string[]): unknown;
  close(): unknown;
}

export class DeviceEngine<P> implements Engine {
  readonly kind: string;
  readonly description: string;
  readonly ahead: Engine["ahead"];
  readonly processes: Engine["processes"];
  readonly snapshot: Engine["snapshot"];
  readonly #device: Device<P>;
  readonly #lower: (program: Program) => P;
  readonly #held = new Map<string, Type>();
  #programs = 0;
  #over: Error | undefined;
  #closed: Promise<unknown> | undefined;

  constructor(kind: string, description: string, device: Device<P>, lower: (program: Program) => P) {
    this.kind = kind;
    this.description = description;
    this.ahead = device.ahead;
    this.processes = device.processes;
    const snapshot = device.snapshot?.bind(device);
    this.snapshot = snapshot && (async (names) => snapshot(new Map(names.map((name) => [name, this.#typeOf(name)]))));
    this.#device = device;
    this.#lower = lower;
  }

  layout(layout: Layout): void {
    this.#device.layout?.(layout);
  }

  async compile(program: Program): Promise<Executable> {
    const [number, device] = [this.#programs++, this.#device];
    const { memory, check } = (await device.load(number, this.#lower(program))) ?? {};
    const given = (inputs: Tensors) => {
      for (const [name, type] of program.states) expectSame(name, this.#typeOf(name), type);
      const numbers = Object.fromEntries(
        [...program.inputs].map(([name, type]) => [name, checked(name, type, inputs[name])]),
      );
      check?.(numbers);
      return numbers;
    };
    const profile = device.profile?.bind(device);
    return {
      program,
      memory,
      run: async (inputs) => {
        if (this.#over !== undefined) throw this.#over;
        const numbers = given(inputs);
        try {
          const outputs = await device.run(number, numbers);
          if (this.#over !== undefined) throw this.#over;
          return outputs;
        } catch (error) {
          const how = error instanceof Error ? error.message : String(error);
          if (program.updates.size > 0) this.#over ??= new Error(`the state is unusable since a run failed (${how})`);
          throw error;
        }
      },
      profile: profile && (async (inputs) => profile(number, given(inputs))),
      release: async () => {
        await device.unload(number);
      },
    };
  }

  async write(name: string, shape: Shape, data: TensorData): Promise<void> {
    if (data.length !== size(shape)) {
      throw new Error(`state ${name} of shape [${shape}] needs ${size(shape)} numbers, not ${data.length}`);
    }
    const type = { dtype: data instanceof Int32Array ? "i32" : "f32", shape: [...shape] } as const;
    this.#held.set(name, type);
    await this.#device.write(name, type, data);
  }

  async read(name: string): Promise<TensorData> {
    return this.#device.read(name, this.#typeOf(name));
  }

  names(): readonly string[] {
    return [...this.#held.keys()];
  }

  async drop(names: Iterable<string>): Promise<void> {
    const dropped = [...names];
    for (const name of dropped) this.#held.delete(name);
    await this.#device.drop(dropped);
  }

  async close(): Promise<void> {
    this.#over = new Error("the engine is closed");
    this.#closed ??= Promise.resolve(this.#device.close());
    await this.#closed;
  }

  /** @throws if nothing is held under the name, or what is held is of no use */
  #typeOf(name: string): Type {
    if (this.#over !== undefined) throw this.#over;
    const type = this.#held.get(name);
    if (type === undefined) throw new Error(`the engine holds no tensor ${name}`);
    return type;
  }
}

function expectSame(name: string, held: Type, { dtype, shape }: Type): void {
  if (held.dtype === dtype && sameShape(held.shape, shape)) return;
  throw new Error(`state ${name} is ${held.dtype} [${held.shape}], the program's ${dtype} [${shape}]`);
}

function checked(name: string, { dtype, shape }: Type, data: TensorData | undefined): TensorData {
  if (data === undefined) throw new Error(`input ${name} is missing`);
  if (data.length === size(shape) && data instanceof Int32Array === (dtype === "i32")) return data;
  throw new Error(`input ${name} must be ${size(shape)} numbers of ${dtype}, not ${data.length}`);
}
