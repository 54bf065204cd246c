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

export type Team = ReturnType<typeof teamOf>;

export function teamOf(memory: WebAssembly.Memory, threads: number) {
  let helper: Worker | undefined;
  let sequence = 0;
  const module = compileKernels();
  const kernels = instantiate(module, memory);
  const names = [...kernels.keys()];
  const block = new SharedArrayBuffer(control.words * 4 + MAXIMUM_ARGUMENTS * 8);
  const words = new Int32Array(block, 0, control.words);
  const numbers = new Float64Array(block, control.words * 4, MAXIMUM_ARGUMENTS);
  if (threads > 1) {
    const workerData: HelperData = { module, memory, control: block, names };
    helper = new Worker(workerUrl(import.meta.url, "./helper.ts"), { workerData });
    helper.unref();
  }

  /** A kernel call with everything looked up: whole, or in two parts at once. */
  function prepare(name: string, args: readonly number[], split: number | undefined): () => void {
    const kernel = kernels.get(name);
    if (kernel === undefined) throw new Error(`there is no kernel ${name}`);
    if (split === undefined) return () => kernel(...args);
    if (helper === undefined || split < 2) return () => kernel(...args, 0, split);
    const index = names.indexOf(name);
    const half = split >> 1;
    return () => {
      numbers.set(args);
      numbers[args.length] = half;
      numbers[args.length + 1] = split;
      words[control.kernel] = index;
      words[control.count] = args.length + 2;
      const asked = ++sequence;
      Atomics.store(words, control.asked, asked);
      Atomics.notify(words, control.asked);
      kernel(...args, 0, half);
      waitFor(asked);
      if (words[control.failed] !== 0) throw new Error(`kernel ${name} failed in the helper thread`);
    };
  }

  /** Most parts end within microseconds of each other; where the helper has no core to run on, sleep until it had one. */
  function waitFor(asked: number): void {
    for (let spins = 0; spins < SPINS; spins++) {
      if (Atomics.load(words, control.done) === asked) return;
    }
    for (;;) {
      const done = Atomics.load(words, control.done);
      if (done === asked) return;
      Atomics.wait(words, control.done, done);
    }
  }

  async function close(): Promise<void> {
    await helper?.terminate();
  }

  return { prepare, close };
}
