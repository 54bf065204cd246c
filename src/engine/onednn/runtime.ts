/**
 * Runs plans: holds the arena with what lives between runs, turns a plan's steps into calls with every address known,
 * and executes them in order. Lives in the engine's worker thread.
 *
 * Calls are made for addresses, so they are made again when the states have moved or the scratch region has: that is
 * seen by a generation number, and happens once after the states are written.
 */
import { size, type Type } from "../../program/graph.ts";
import type { Device, Tensors } from "../device.ts";
import type { TensorData } from "../engine.ts";
import { kernels as referenceKernels } from "../reference/kernels.ts";
import { Arena, RESERVED_BYTES } from "./arena.ts";
import type { Library } from "./library.ts";
import { Primitives, type View } from "./primitives.ts";
import { bytesOf, type Plan, type Step, type StepClass, type Window } from "./steps.ts";
import { type Team, teamOf } from "./team.ts";

interface Held {
  readonly type: Type;
  readonly offset: number;
  readonly bytes: number;
}

interface Call {
  readonly of: StepClass;
  readonly run: () => void;
}

interface Loaded {
  readonly plan: Plan;
  calls: readonly Call[];
  scratch: number;
  generation: number;
}

export class Runtime implements Device<Plan> {
  readonly #arena = new Arena();
  readonly #primitives: Primitives;
  readonly #team: Team;
  readonly #held = new Map<string, Held>();
  readonly #loaded = new Map<number, Loaded>();
  #generation = 0;

  constructor(library: Library, threads: number) {
    library.setThreads(threads);
    const base = library.address(new Uint8Array(this.#arena.memory.buffer));
    library.preferLargePages(base, RESERVED_BYTES);
    this.#primitives = new Primitives(library, base);
    this.#team = teamOf(this.#arena.memory, threads);
  }

  write(name: string, type: Type, data: TensorData): void {
    const bytes = size(type.shape) * 4;
    const known = this.#held.get(name);
    let offset = known?.offset;
    if (offset === undefined || known?.bytes !== bytes) {
      if (known !== undefined) this.drop([name]);
      offset = this.#arena.allocate(bytes);
      this.#generation++;
    }
    this.#held.set(name, { type, offset, bytes });
    this.#array(type, offset).set(data);
  }

  read(name: string): TensorData {
    const held = this.#held.get(name);
    if (held === undefined) throw new Error(`the engine holds no tensor ${name}`);
    return this.#array(held.type, held.offset).slice();
  }

  drop(names: readonly string[]): void {
    for (const name of names) {
      const held = this.#held.get(name);
      if (held === undefined) continue;
      this.#arena.release(held.offset, held.bytes);
      this.#held.delete(name);
      this.#generation++;
    }
  }

  load(id: number, plan: Plan): undefined {
    this.#loaded.set(id, { plan, calls: [], scratch: 0, generation: -1 });
  }

  unload(id: number): void {
    this.#loaded.delete(id);
  }

  run(id: number, inputs: Tensors): Record<string, TensorData> {
    const loaded = this.#ready(id, inputs);
    for (const call of loaded.calls) call.run();
    this.#primitives.wait();
    return Object.fromEntries(
      loaded.plan.outputs.map(({ name, type, window }) => [
        name,
        this.#array(type, this.#offset(window, loaded)).slice(),
      ]),
    );
  }

  /** Milliseconds by class of step, of one run. It counts: states change as by any run. */
  profile(id: number, inputs: Tensors): Record<string, number> {
    const spent: Record<string, number> = {};
    for (const call of this.#ready(id, inputs).calls) {
      const start = performance.now();
      call.run();
      spent[call.of] = (spent[call.of] ?? 0) + performance.now() - start;
    }
    return spent;
  }

  async close(): Promise<void> {
    await this.#team.close();
  }

  /** A program with its inputs in place. */
  #ready(id: number, inputs: Tensors): Loaded {
    const loaded = this.#loaded.get(id);
    if (loaded === undefined) throw new Error("the program was released");
    const { plan } = loaded;
    if (loaded.generation !== this.#generation) {
      loaded.scratch = this.#arena.top;
      this.#arena.ensure(loaded.scratch + plan.scratchBytes);
      loaded.calls = plan.steps.map((step) => ({ of: step.of, run: this.#call(step, loaded) }));
      loaded.generation = this.#generation;
    }
    for (const { name, type, window } of plan.inputs) {
      this.#array(type, this.#offset(window, loaded)).set(inputs[name]);
    }
    return loaded;
  }

  #call(step: Step, loaded: Loaded): () => void {
    const view = (window: Window): View => ({
      offset: this.#offset(window, loaded),
      dims: window.dims.length === 0 ? [1] : window.dims,
      strides: window.dims.length === 0 ? [1] : window.strides,
      type: window.type,
    });
    switch (step.do) {
      case "fill": {
        const offset = this.#offset(step.x, loaded);
        if (step.x.type === "bf16") {
          const halves = new Uint16Array(this.#arena.memory.buffer, offset, size(step.x.dims));
          return () => {
            halves.fill(new Uint32Array(Float32Array.of(step.value).buffer)[0] >>> 16);
          };
        }
        const array = this.#array({ dtype: "f32", shape: step.x.dims }, offset);
        return () => {
          array.fill(step.value);
        };
      }
      case "kernel": {
        const args = step.args.map((arg) =>
          typeof arg === "number" ? arg : arg === null ? 0 : this.#offset(arg, loaded),
        );
        return this.#team.prepare(step.name, args, step.split);
      }
      case "reference": {
        const kernel = referenceKernels.get(step.op);
        if (kernel === undefined) throw new Error(`there is no operation ${step.op}`);
        const types = { inputs: step.inputs.map(({ type }) => type), outputs: [step.output.type] };
        const inputs = step.inputs.map(({ type, window }) => this.#array(type, this.#offset(window, loaded)));
        const output = this.#array(step.output.type, this.#offset(step.output.window, loaded));
        return () => {
          const numbers = inputs.map((array) => (array instanceof Int32Array ? array : Float64Array.from(array)));
          output.set(kernel.run(numbers, step.attrs, types));
        };
      }
      default:
        return this.#primitives.make(step, view);
    }
  }

  #offset(window: Window, loaded: Loaded): number {
    const { base } = window;
    const skipped = window.skip * bytesOf(window.type);
    if ("buffer" in base) return loaded.scratch + loaded.plan.offsets[base.buffer] + skipped;
    const held = this.#held.get(base.state);
    if (held === undefined) throw new Error(`the engine holds no tensor ${base.state}`);
    return held.offset + skipped;
  }

  #array(type: Type, offset: number): TensorData {
    const count = size(type.shape);
    return type.dtype === "i32"
      ? new Int32Array(this.#arena.memory.buffer, offset, count)
      : new Float32Array(this.#arena.memory.buffer, offset, count);
  }
}
