/**
 * Runs plans in the worker: onnxruntime for the graphs, kernels for the host steps, states in the arena. Only this
 * file, worker.ts and library.ts know onnxruntime.
 */
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { size } from "../../program/graph.ts";
import { dropoutNumbers } from "../../program/ops/dropoutMask.ts";
import { listOf, numberOf, textOf } from "../attributes.ts";
import type { TensorData } from "../engine.ts";
import { guarded } from "./guard.ts";
import { Kernels, type Operand } from "./kernels.ts";
import { library } from "./library.ts";
import { Arena, type Held } from "./memory.ts";
import type { GraphStep, HostStep, Plan, Tensor } from "./plan.ts";
import type { WorkerSettings } from "./protocol.ts";

interface Compiled {
  readonly plan: Plan;
  readonly sessions: ReadonlyMap<GraphStep, InferenceSession>;
  readonly scratch: readonly Held[];
}

/** What one run has at hand. */
interface Run {
  readonly compiled: Compiled;
  readonly inputs: Readonly<Record<string, TensorData>>;
  readonly results: TensorData[];
}

export class Runner {
  readonly #threads: number;
  readonly #flags: WorkerSettings["flags"];
  readonly #arena = new Arena();
  readonly #kernels = new Kernels();
  readonly #states = new Map<string, Held>();
  readonly #programs = new Map<number, Compiled>();
  /** Why the state can't be trusted any more. */
  #broken: string | undefined;

  constructor({ threads, flags }: WorkerSettings) {
    this.#threads = threads;
    this.#flags = flags;
  }

  async compile(program: number, plan: Plan): Promise<void> {
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

  async release(program: number): Promise<void> {
    const compiled = this.#programs.get(program);
    if (compiled === undefined) return;
    this.#programs.delete(program);
    for (const held of compiled.scratch) this.#arena.release(held);
    await this.#free(compiled.sessions.values());
  }

  write(name: string, dtype: Held["dtype"], shape: readonly number[], data: TensorData): void {
    const known = this.#states.get(name);
    const fits = known !== undefined && known.dtype === dtype && known.data.length === data.length;
    if (known !== undefined && !fits) this.#arena.release(known);
    const held = fits ? { ...known, shape } : this.#arena.allocate(dtype, shape);
    this.#states.set(name, held);
    held.data.set(data);
  }

  read(name: string): TensorData {
    this.#sound();
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
    for (const program of [...this.#programs.keys()]) await this.release(program);
  }

  async run(program: number, inputs: Readonly<Record<string, TensorData>>): Promise<Record<string, TensorData>> {
    this.#sound();
    const compiled = this.#programs.get(program);
    if (compiled === undefined) throw new Error("the program was released");
    const { plan } = compiled;
    for (const { name, dtype, shape } of plan.states) {
      const held = this.#state(name);
      const same = held.shape.length === shape.length && held.shape.every((extent, i) => extent === shape[i]);
      if (held.dtype !== dtype || !same) {
        throw new Error(`state ${name} is ${held.dtype} [${held.shape}], the program's ${dtype} [${shape}]`);
      }
    }
    const run: Run = { compiled, inputs, results: [] };
    let changed = false;
    let doing = "";
    try {
      for (const step of plan.steps) {
        doing = step.kind === "graph" ? step.name : step.op;
        if (step.kind === "graph") await this.#graph(step, run);
        else {
          changed ||= step.outputs.some(({ place }) => place.at === "state");
          this.#host(step, run);
        }
      }
      doing = "the update of the states";
      changed ||= plan.commits.length > 0;
      for (const { state, from } of plan.commits) this.#copy(this.#state(state).data, from, run);
      return Object.fromEntries(plan.outputs.map(({ name, from }) => [name, this.#given(from, run)]));
    } catch (error) {
      const message = `${doing}: ${error instanceof Error ? error.message : String(error)}`;
      if (changed) this.#broken = message;
      throw new Error(message, { cause: error });
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
      return await guarded(this.#flags, () => library.InferenceSession.create(step.model, options));
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

  #host({ op, attrs, inputs, outputs }: HostStep, run: Run): void {
    const read = (i: number) => this.#reals(inputs[i], run);
    /** Output i, which starts as the input it stands in the place of or is copied from. */
    const changing = (i: number, from: number): Operand => {
      const target = this.#reals(outputs[i], run);
      if (!samePlace(outputs[i], inputs[from])) this.#copy(target.data, inputs[from], run);
      return { ...target, changed: true };
    };
    switch (op) {
      case "adamw": {
        const [t, clip, rate] = [read(4).data[0] + 1, read(5).data[0], read(6).data[0]];
        const [beta1, beta2] = [numberOf(attrs, "beta1"), numberOf(attrs, "beta2")];
        this.#kernels.adamw(changing(0, 0), read(1), changing(1, 2), changing(2, 3), {
          clip,
          beta1,
          beta2,
          keep: 1 - rate * numberOf(attrs, "decay"),
          step: rate / (1 - beta1 ** t),
          root: 1 / Math.sqrt(1 - beta2 ** t),
          eps: numberOf(attrs, "eps"),
        });
        this.#reals(outputs[3], run).data[0] = t;
        break;
      }
      case "globalNorm": {
        const squared = listOf(attrs, "squared");
        const squares = inputs.reduce((sum, _, i) => {
          return sum + (squared[i] === 1 ? total(read(i).data) : this.#kernels.sumSquares(read(i)));
        }, 0);
        this.#reals(outputs[0], run).data[0] = Math.sqrt(squares);
        break;
      }
      case "dropoutMask": {
        const key = this.#operand(inputs[0], run).data;
        const shape = listOf(attrs, "shape");
        const numbers = dropoutNumbers({ shape, rate: numberOf(attrs, "rate"), stream: textOf(attrs, "stream") });
        const out = { ...this.#reals(outputs[0], run), changed: true };
        this.#kernels.dropoutMask(out, { seed: key[0], step: key[1], ...numbers });
        break;
      }
      case "add": {
        const target = samePlace(outputs[0], inputs[1]) ? 1 : 0;
        this.#kernels.accumulate(changing(0, target), read(1 - target));
        break;
      }
      case "scatterAdd": {
        const table = this.#reals(outputs[0], run).data;
        // Onto what its third input holds, where it has one.
        if (inputs.length === 2) table.fill(0);
        scatterAdd(read(1).data, this.#operand(inputs[0], run).data, table);
        break;
      }
      case "copy":
        this.#copy(this.#operand(outputs[0], run).data, inputs[0], run);
        break;
      default:
        throw new Error(`the host has no operation ${op}`);
    }
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

  #sound(): void {
    if (this.#broken !== undefined) {
      throw new Error(
        `the engine's state is unusable since a run failed in the middle of its updates (${this.#broken})`,
      );
    }
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
