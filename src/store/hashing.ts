/**
 * The SHA-256 of a large file on a thread of its own: of one that is written, while this thread makes the next bytes and
 * the system takes these, and of one that is read, while other work goes on.
 */
import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { workerUrl } from "../util/worker.ts";

/** For the thread: the next bytes, a file to take to its end, or that no more is to come. */
export type HashMessage = Uint8Array | { readonly path: string } | undefined;

export interface Hashing {
  /** Takes the next bytes. They may change once what it gives is settled. */
  update(data: Uint8Array): Promise<void> | void;
  /** The SHA-256 in hexadecimal; nothing comes after it. */
  digest(): Promise<string> | string;
  /** Gives it up. */
  abandon(): Promise<void> | void;
}

/** A thread takes some 20 ms to start: less than hashing so many bytes. */
export const LARGE = 2 ** 25;

/** @param bytes how many there will be, about */
export function hashing(bytes: number): Hashing {
  if (bytes >= LARGE) return new HashThread();
  const hash = createHash("sha256");
  return {
    update: (data) => {
      hash.update(data);
    },
    digest: () => hash.digest("hex"),
    abandon: () => {},
  };
}

/** The SHA-256 of a whole file in hexadecimal, on a thread of its own. @param signal ends it; it then fails */
export async function hashApart(path: string, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  const thread = new HashThread();
  const giveUp = () => thread.abandon();
  signal?.addEventListener("abort", giveUp);
  try {
    await thread.file(path);
    return await thread.digest();
  } catch (error) {
    await thread.abandon();
    throw error;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

/** Bytes in shared memory are hashed where they are, others are copied to the thread. */
class HashThread implements Hashing {
  readonly #worker = new Worker(workerUrl(import.meta.url, "./hash-worker.ts"), { execArgv: [] });
  readonly #waiting: { done: (hash: string) => void; failed: (error: unknown) => void }[] = [];
  /** Why it answers no more. */
  #ended: { readonly error: unknown } | undefined;

  constructor() {
    this.#worker.on("message", (hash: string) => this.#waiting.shift()?.done(hash));
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", () => this.#end(new Error("the thread that hashes has ended")));
  }

  #end(error: unknown): void {
    this.#ended ??= { error };
    for (const { failed } of this.#waiting.splice(0)) failed(this.#ended.error);
  }

  async update(data: Uint8Array): Promise<void> {
    // A message takes all memory that a view looks into.
    await this.#ask(data.buffer instanceof ArrayBuffer ? new Uint8Array(data) : data);
  }

  /** Takes all bytes of a file. */
  async file(path: string): Promise<void> {
    await this.#ask({ path });
  }

  async digest(): Promise<string> {
    const hash = await this.#ask(undefined);
    await this.#worker.terminate();
    return hash;
  }

  async abandon(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(message: HashMessage): Promise<string> {
    return new Promise((done, failed) => {
      if (this.#ended !== undefined) throw this.#ended.error;
      this.#waiting.push({ done, failed });
      this.#worker.postMessage(message);
    });
  }
}
