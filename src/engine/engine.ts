/**
 * The contract of an engine: it lowers tensor programs, runs them, and keeps the tensors that live between runs.
 *
 * A program says what is computed; an engine decides how: layout, order, fusion, precision, threads, devices. State
 * (parameters, moments, accumulators) is written once, stays with the engine, is updated in place by the programs that
 * run, and is read back by name. Several programs share one engine's state, and a state that no program mentions is
 * left alone. Programs may be compiled at any time and are released when no longer needed.
 *
 * What every engine keeps: the same program, state, inputs and thread count give the same bytes; a run that throws
 * leaves the state unusable and says so, nothing worse.
 */
import { availableParallelism } from "node:os";
import type { Program, Shape } from "../program/graph.ts";

export type TensorData = Float32Array | Int32Array;

export interface EngineSettings {
  /** Threads for one run. */
  readonly threads: number;
  /** How `f32` of a program is computed; `auto` leaves it to the engine. */
  readonly precision: "f32" | "bf16" | "auto";
  /** The description of the engine that the same work went on until now: `auto` stays with what that did. */
  readonly before?: string;
  /** The keys that only this engine knows; it checks them itself. */
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface Executable {
  readonly program: Program;
  /** Bytes of each device: for what is kept between runs, and for what a run computes. An engine that can't tell has none. */
  readonly memory?: { readonly kept: number; readonly working: number };
  /**
   * Runs the program once: reads the inputs, updates the state, returns the outputs by name.
   * Runs of one engine follow each other in the order of the calls, and need not be awaited before the next: the inputs
   * are copied before the call returns, and a read sees what the runs before it left.
   * @throws if an input is missing or has another size or type than the program's
   */
  run(inputs: Readonly<Record<string, TensorData>>): Promise<Record<string, TensorData>>;
  /** A run that is timed: milliseconds by class of operation. An engine that can't tell has none. */
  profile?(inputs: Readonly<Record<string, TensorData>>): Promise<Readonly<Record<string, number>>>;
  release(): Promise<void>;
}

/** By the names of states: the dimensions along which each may be split among devices. Of others any may. */
export type Layout = ReadonlyMap<string, readonly number[]>;

/** What each of several devices has of a program, in bytes. */
export interface Share {
  readonly devices: number;
  /** Of what is kept between runs. */
  readonly kept: number;
  /** In a run: of what is kept, put together where it is read; and of gradients, added up. */
  readonly gathered: number;
  readonly reduced: number;
}

/** One of several processes that do the same together, each on its own devices: all ask for the same, in one order. */
export interface Processes {
  readonly count: number;
  /** Which this is; 0 writes what is to be kept. */
  readonly index: number;
  /** The largest of what all say, number by number; whole numbers. */
  agree(values: readonly number[]): Promise<readonly number[]>;
}

/** States as they were when it was taken, to be read while runs go on; of several processes, by the first alone. */
export interface Snapshot extends Pick<Engine, "read"> {
  release(): Promise<void>;
}

export interface Engine {
  /** As in a run's `engine.kind`. */
  readonly kind: string;
  /** Library, version, precision and threads, for run logs: a run repeats byte for byte only where this is the same. */
  readonly description: string;
  /** How many runs are worth having under way at once; 1 where it isn't said. */
  readonly ahead?: number;
  /** Where it runs in several. */
  readonly processes?: Processes;
  /** Said before states are written and programs compiled. Absent where nothing is split. */
  layout?(layout: Layout): void;
  compile(program: Program): Promise<Executable>;
  /** Puts a tensor under a name, replacing what was there. The data is copied. */
  write(name: string, shape: Shape, data: TensorData): Promise<void>;
  /** A copy of the tensor under a name. @throws if there is none */
  read(name: string): Promise<TensorData>;
  /** Absent where nothing would be gained: a read takes what time copies take. */
  snapshot?(names: readonly string[]): Promise<Snapshot>;
  /** The names of all tensors held. */
  names(): readonly string[];
  /** Lets tensors go. */
  drop(names: Iterable<string>): Promise<void>;
  close(): Promise<void>;
}

/** What `doctor` and `engine.kind` choose from. One file (or folder) an engine, one line in engines.ts. */
export interface EngineKind {
  readonly kind: string;
  /** `auto` never takes it: even to look for it costs more than a run on another may take. */
  readonly byNameOnly?: boolean;
  /** It refuses by itself what there is no room for: that need not be this machine's memory. */
  readonly checksMemory?: boolean;
  /** Whether with these keys of its own it waits for other processes when it is opened. */
  waits?(options: EngineSettings["options"]): boolean;
  /** What each of its devices has, where with these settings it takes several. */
  share?(
    settings: Pick<EngineSettings, "precision" | "options">,
    program: () => Program,
    layout: Layout,
  ): Share | undefined;
  /** Whether it can run here, in words for a person. */
  probe(): Promise<{ usable: true; description: string } | { usable: false; reason: string; wayOut: string }>;
  open(settings: EngineSettings): Promise<Engine>;
}

/** Keys of `engine` in a settings file: what looks like a path goes through `place`; a word without a slash is none. */
export function placed<T extends Readonly<Record<string, unknown>>>(keys: T, place: (path: string) => string): T {
  const isPath = (value: unknown) => typeof value === "string" && /[\\/]/.test(value);
  const moved = Object.entries(keys).filter(([, value]) => isPath(value));
  return Object.assign({ ...keys }, Object.fromEntries(moved.map(([key, path]) => [key, place(String(path))])));
}

/** `engine` of a settings file as an engine takes it: `threads: auto` are all there are, and what is its own beside it. */
export function engineOf({ kind, threads, precision, ...options }: EngineKeys, place: (path: string) => string) {
  const all = threads === "auto" ? availableParallelism() : threads;
  return { kind, threads: all, precision, options: placed(options, place) };
}

interface EngineKeys extends Readonly<Record<string, unknown>> {
  readonly kind: string;
  readonly threads: number | "auto";
  readonly precision: EngineSettings["precision"];
}
