/**
 * Runs plans in the worker: onnxruntime for the graphs, kernels for the host steps, states in the arena. Only this
 * file and library.ts know onnxruntime.
 */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { type Attributes, type NoAttributes, size, type Type } from "../../program/graph.ts";
import { type AttributesOf, dropoutNumbers } from "../../program/ops/index.ts";
import type { Device, Tensors } from "../device.ts";
import type { TensorData } from "../engine.ts";
import { type Flags, guarded } from "./guard.ts";
import { Kernels, type Operand } from "./kernels.ts";
import { library } from "./library.ts";
import { Arena, type Held } from "./memory.ts";
import type { GraphStep, HostStep, Plan, Tensor } from "./plan.ts";

interface Compiled {
  readonly plan: Plan;
  readonly sessions: ReadonlyMap<GraphStep, InferenceSession>;
  readonly scratch: readonly Held[];
}

/** What one run has at hand. */
interface Run {
  readonly compiled: Compiled;
  readonly inputs: Tensors;
  readonly results: TensorData[];
}

type HostKernel<A extends Attributes = Attributes> = { of(step: HostStep<A>, run: Run): void }["of"];
/** Of a norm: whether an input is squares already; a copy is of a state that is asked for as it was. */
type OnHost = Pick<AttributesOf, "adamw" | "dropoutMask" | "add" | "scatterAdd"> & {
  readonly globalNorm: { readonly squared: readonly number[] };
  readonly copy: NoAttributes;
};
type HostKernels = { readonly [K in keyof OnHost]: HostKernel<OnHost[K]> };

export interface RunnerSettings {
  readonly threads: number;
  readonly flags: Flags;
}

export class Runner implements Device<Plan> {
  readonly #threads: number;
  readonly #flags: Flags;
  readonly #arena = new Arena();
  readonly #kernels = new Kernels();
  readonly #states = new Map<string, Held>();
  readonly #programs = new Map<number, Compiled>();

  /** By the operation that the host does. */
  readonly #byOperation: HostKernels = {
    adamw: (step, run) => {
      const [t, clip, rate] = [4, 5, 6].map((i) => this.#reals(step.inputs[i], run).data[0]);
      const { beta1, beta2, decay, eps } = step.attrs;
      const [p, m, v] = [0, 2, 3].map((from, i) => this.#changing(step, run, i, from));
      const keep = 1 - rate * decay;
      const move = rate / (1 - beta1 ** (t + 1));
      const root = 1 / Math.sqrt(1 - beta2 ** (t + 1));
      const numbers = [clip, beta1, 1 - beta1, beta2, 1 - beta2, keep, move, root, eps];
      this.#kernels.pieces("adamw", [p, this.#reals(step.inputs[1], run), m, v], ...numbers);
      this.#reals(step.outputs[3], run).data[0] = t + 1;
    },
    globalNorm: ({ attrs: { squared }, inputs, outputs }, run) => {
      const squares = inputs.reduce((sum, input, i) => {
        const numbers = this.#reals(input, run);
        return sum + (squared[i] === 1 ? total(numbers.data) : this.#kernels.pieces("sumSquares", [numbers]));
      }, 0);
      this.#reals(outputs[0], run).data[0] = Math.sqrt(squares);
    },
    dropoutMask: ({ attrs, inputs, outputs }, run) => {
      const [seed, step] = this.#operand(inputs[0], run).data;
      const { threshold, kept, stream } = dropoutNumbers(attrs);
      const { data, block } = this.#operand(outputs[0], run);
      if (block === undefined) throw new Error("a dropout pattern has no room of its own");
      // The kernel writes whole groups of 32 elements, for which there is room.
      const groups = Math.ceil(data.length / 32);
      this.#kernels.of(block, "dropoutMask")(data.byteOffset, 0, groups, seed, step, stream, threshold, kept);
    },
    add: (step, run) => {
      const target = samePlace(step.outputs[0], step.inputs[1]) ? 1 : 0;
      const [sum, other] = [this.#changing(step, run, 0, target), this.#reals(step.inputs[1 - target], run)];
      this.#kernels.pieces("accumulate", [sum, other]);
    },
    scatterAdd: ({ inputs, outputs }, run) => {
      const table = this.#reals(outputs[0], run).data;
      // Onto what its third input holds, where it has one.
      if (inputs.length === 2) table.fill(0);
      scatterAdd(this.#reals(inputs[1], run).data, this.#operand(inputs[0], run).data, table);
    },
    copy: ({ inputs, outputs }, run) => this.#copy(this.#operand(outputs[0], run).data, inputs[0], run),
  };

  constructor({ threads, flags }: RunnerSettings) {
    this.#threads = threads;
    this.#flags = flags;
  }

  version(): string | undefined {
    return library.env.versions.node ?? library.env.versions.common;
  }

  async load(program: number, plan: Plan): Promise<undefined> {
    const sessions = new Map<GraphStep, InferenceSession>();
    try {
      for (const step of plan.steps) {
        if (step.kind === "graph") sessions.set(step, await this.#session(step));
      }
    } catch (error) {
      await this.#free(sessions.values());
      throw error;
    }
    const scratch = plan.scratch.map(({ dtype, shape }) => this.#arena.allocate(dtype, shape));
    this.#programs.set(program, { plan, sessions, scratch });
  }

  async unload(program: number): Promise<void> {
    const compiled = this.#programs.get(program);
    if (compiled === undefined) return;
    this.#programs.delete(program);
    for (const held of compiled.scratch) this.#arena.release(held);
    await this.#free(compiled.sessions.values());
  }

  write(name: string, { dtype, shape }: Type, data: TensorData): void {
    const known = this.#states.get(name);
    const fits = known !== undefined && known.dtype === dtype && known.data.length === data.length;
    if (known !== undefined && !fits) this.#arena.release(known);
    const held = fits ? known : this.#arena.allocate(dtype, shape);
    this.#states.set(name, held);
    held.data.set(data);
  }

  read(name: string): TensorData {
    return this.#state(name).data.slice();
  }

  drop(names: readonly string[]): void {
    for (const name of names) {
      const held = this.#states.get(name);
      if (held !== undefined) this.#arena.release(held);
      this.#states.delete(name);
    }
  }

  async close(): Promise<void> {
    for (const program of [...this.#programs.keys()]) await this.unload(program);
  }

  async run(program: number, inputs: Tensors): Promise<Record<string, TensorData>> {
    const compiled = this.#programs.get(program);
    if (compiled === undefined) throw new Error("the program was released");
    const { plan } = compiled;
    const run: Run = { compiled, inputs, results: [] };
    let doing = "";
    try {
      for (const step of plan.steps) {
        doing = step.kind === "graph" ? step.name : step.op;
        if (step.kind === "graph") await this.#graph(step, run);
        else this.#host(step, run);
      }
      doing = "the update of the states";
      for (const { state, from } of plan.commits) this.#copy(this.#state(state).data, from, run);
      return Object.fromEntries(plan.outputs.map(({ name, from }) => [name, this.#given(from, run)]));
    } catch (error) {
      throw new Error(`${doing}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  async #session(step: GraphStep): Promise<InferenceSession> {
    try {
      const options: InferenceSession.SessionOptions = {
        intraOpNumThreads: step.large ? this.#threads : 1,
        interOpNumThreads: 1,
        executionMode: "sequential",
        graphOptimizationLevel: "basic",
        enableCpuMemArena: true,
        // A pattern is one more block beside the arena: half as much memory again, and no faster.
        enableMemPattern: false,
        // Errors reach the caller as they are; a second copy on stderr helps nobody.
        logSeverityLevel: 4,
      };
      const [{ create, toBinary }, { ModelProtoSchema }] = await Promise.all([
        import("@bufbuild/protobuf"),
        import("onnx-buf"),
      ]);
      const bytes = toBinary(ModelProtoSchema, create(ModelProtoSchema, step.model));
      return await guarded(this.#flags, () => library.InferenceSession.create(bytes, options));
    } catch (error) {
      throw new Error(`${step.name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  async #free(sessions: Iterable<InferenceSession>): Promise<void> {
    for (const session of sessions) await guarded(this.#flags, () => session.release());
  }

  async #graph(step: GraphStep, run: Run): Promise<void> {
    const feeds: Record<string, OrtTensor> = {};
    for (const { name, tensor } of step.feeds) {
      const { data } = this.#operand(tensor, run);
      feeds[name] =
        data instanceof Float32Array
          ? new library.Tensor("float32", data, tensor.shape)
          : new library.Tensor("int32", data, tensor.shape);
    }
    const session = run.compiled.sessions.get(step);
    const names = step.fetches.map(({ name }) => name);
    const made = await guarded(this.#flags, async () => session?.run(feeds, names));
    for (const { name, tensor } of step.fetches) {
      const data = made?.[name].data;
      if (!(data instanceof Float32Array || data instanceof Int32Array)) throw new Error(`${name} is no tensor`);
      if (tensor.place.at === "result") run.results[tensor.place.index] = data;
    }
  }

  #host(step: HostStep, run: Run): void {
    const kernels: Readonly<Record<string, HostKernel>> = this.#byOperation;
    if (kernels[step.op] === undefined) throw new Error(`the host has no operation ${step.op}`);
    kernels[step.op](step, run);
  }

  /** Output i, which starts as the input it stands in the place of or is copied from. */
  #changing({ inputs, outputs }: HostStep, run: Run, i: number, from: number): Operand {
    const target = this.#reals(outputs[i], run);
    if (!samePlace(outputs[i], inputs[from])) this.#copy(target.data, inputs[from], run);
    return { ...target, changed: true };
  }

  #copy(target: TensorData, from: Tensor, run: Run): void {
    if (from.place.at === "constant") target.fill(from.place.value);
    else target.set(this.#operand(from, run).data);
  }

  /** An output, in memory of its own. */
  #given(tensor: Tensor, run: Run): TensorData {
    return this.#operand(tensor, run).data.slice();
  }

  #reals(tensor: Tensor, run: Run): Operand {
    const { data, block } = this.#operand(tensor, run);
    if (!(data instanceof Float32Array)) throw new Error("a tensor of indices where numbers belong");
    return { data, block };
  }

  #operand({ place, shape }: Tensor, { compiled, inputs, results }: Run): Pick<Held, "data"> & Partial<Held> {
    switch (place.at) {
      case "input":
        return { data: inputs[place.name] };
      case "state":
        return this.#state(place.name);
      case "scratch":
        return compiled.scratch[place.index];
      case "result":
        return { data: results[place.index] };
      case "constant":
        return { data: new Float32Array(size(shape)).fill(place.value) };
    }
  }

  #state(name: string): Held {
    const held = this.#states.get(name);
    if (held === undefined) throw new Error(`the engine holds no tensor ${name}`);
    return held;
  }
}

function samePlace({ place: a }: Tensor, { place: b }: Tensor): boolean {
  if (a.at === "state" && b.at === "state") return a.name === b.name;
  return a.at === "scratch" && b.at === "scratch" && a.index === b.index;
}

function total(numbers: Float32Array): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}

/** Rows added to the rows of a table, one after the other. */
function scatterAdd(updates: Float32Array, ids: TensorData, table: Float32Array): void {
  const width = updates.length / ids.length;
  const rows = table.length / width;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    if (!(id >= 0 && id < rows)) throw new Error(`id ${id} is outside a table of ${rows} rows`);
    const from = i * width;
    const to = id * width;
    for (let j = 0; j < width; j++) table[to + j] += updates[from + j];
  }
}
