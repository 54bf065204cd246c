/**
 * A process that ends while onnxruntime is at work in another thread aborts. So the worker raises a flag around every
 * call into it, and the main thread, once it ends, lets no further call begin and waits for the one under way (a step
 * at most).
 */

/** [whether onnxruntime is at work, whether the process is ending], shared by both sides. */
export type Flags = Int32Array<SharedArrayBuffer>;
const BUSY = 0;
const ENDING = 1;

/** The flags of the workers that are alive, on the main side. */
const alive = new Set<Flags>();

/** Flags for a new worker. `forget` when it has ended. */
export function watched(): { readonly flags: Flags; forget(): void } {
  const flags = new Int32Array(new SharedArrayBuffer(8));
  if (alive.size === 0) process.once("exit", waitForAll);
  alive.add(flags);
  return {
    flags,
    forget() {
      alive.delete(flags);
      if (alive.size === 0) process.off("exit", waitForAll);
    },
  };
}

function waitForAll(): void {
  for (const flags of alive) {
    Atomics.store(flags, ENDING, 1);
    while (Atomics.load(flags, BUSY) === 1) Atomics.wait(flags, BUSY, 1);
  }
}

/** In the worker: a call into onnxruntime. It does not begin when the process is ending. */
export async function guarded<T>(flags: Flags, call: () => Promise<T>): Promise<T> {
  Atomics.store(flags, BUSY, 1);
  try {
    if (Atomics.load(flags, ENDING) === 1) {
      lower(flags);
      await new Promise(() => {});
    }
    return await call();
  } finally {
    lower(flags);
  }
}

function lower(flags: Flags): void {
  Atomics.store(flags, BUSY, 0);
  Atomics.notify(flags, BUSY);
}
