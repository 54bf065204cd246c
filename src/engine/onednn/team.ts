/**
 * Two threads for our own kernels. The engine's worker runs the first part of a split kernel itself and hands the
 * second to a helper thread through a small control block in shared memory; both see the same arena.
 *
 * oneDNN's own threads sleep or spin while kernels run and the helper sleeps while oneDNN runs: the two never compute
 * at the same time.
 */
import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { packageRoot } from "../../util/paths.ts";
import { workerUrl } from "../../util/worker.ts";

export type Kernel = (...args: readonly number[]) => void;

/** Int32 words of the control block: a sequence number asked for, one done, which kernel, how many arguments. */
export const control = { asked: 0, done: 1, kernel: 2, count: 3, failed: 4, words: 64 } as const;
export const MAXIMUM_ARGUMENTS = 32;

/** Looks at the control block before going to sleep: some tens of microseconds. */
const SPINS = 4000;

export interface HelperData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: SharedArrayBuffer;
  readonly names: readonly string[];
}

export function compileKernels(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(`${packageRoot()}dist/engine/kernels.shared.wasm`));
}

/** The kernels of a module on a memory, by name. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): ReadonlyMap<string, Kernel> {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = new Map<string, Kernel>();
  for (const [name, value] of Object.entries(exports)) {
    if (typeof value === "function") kernels.set(name, (...args) => value(...args));
  }
  return kernels;
}

export class Team {
  readonly #kernels: ReadonlyMap<string, Kernel>;
  readonly #names: readonly string[];
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  readonly #helper: Worker | undefined;
  #sequence = 0;

  constructor(memory: WebAssembly.Memory, threads: number) {
    const module = compileKernels();
    this.#kernels = instantiate(module, memory);
    this.#names = [...this.#kernels.keys()];
    const block = new SharedArrayBuffer(control.words * 4 + MAXIMUM_ARGUMENTS * 8);
    this.#words = new Int32Array(block, 0, control.words);
    this.#numbers = new Float64Array(block, control.words * 4, MAXIMUM_ARGUMENTS);
    if (threads > 1) {
      const workerData: HelperData = { module, memory, control: block, names: this.#names };
      this.#helper = new Worker(workerUrl(import.meta.url, "./helper.ts"), { workerData });
      this.#helper.unref();
    }
  }

  /** A kernel call with everything looked up: whole, or in two parts at once. */
  prepare(name: string, args: readonly number[], split: number | undefined): () => void {
    const kernel = this.#kernels.get(name);
    if (kernel === undefined) throw new Error(`there is no kernel ${name}`);
    if (split === undefined) return () => kernel(...args);
    if (this.#helper === undefined || split < 2) return () => kernel(...args, 0, split);
    const index = this.#names.indexOf(name);
    const half = split >> 1;
    return () => {
      this.#numbers.set(args);
      this.#numbers[args.length] = half;
      this.#numbers[args.length + 1] = split;
      this.#words[control.kernel] = index;
      this.#words[control.count] = args.length + 2;
      const sequence = ++this.#sequence;
      Atomics.store(this.#words, control.asked, sequence);
      Atomics.notify(this.#words, control.asked);
      kernel(...args, 0, half);
      this.#await(sequence);
      if (this.#words[control.failed] !== 0) throw new Error(`kernel ${name} failed in the helper thread`);
    };
  }

  /** Most parts end within microseconds of each other; where the helper has no core to run on, sleep until it had one. */
  #await(sequence: number): void {
    for (let spins = 0; spins < SPINS; spins++) {
      if (Atomics.load(this.#words, control.done) === sequence) return;
    }
    for (;;) {
      const done = Atomics.load(this.#words, control.done);
      if (done === sequence) return;
      Atomics.wait(this.#words, control.done, done);
    }
  }

  async close(): Promise<void> {
    await this.#helper?.terminate();
  }
}
