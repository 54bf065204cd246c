/**
 * The SHA-256 of a file as it is written. Of a large one it is worked out on a thread of its own, while this one makes
 * the next bytes and the system takes these: hashing 1.3 GB costs as much as growing it does.
 */
import { createHash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { workerUrl } from "./worker.ts";

export interface Hashing {
  /** Takes the next bytes. They may change once what it gives is settled. */
  update(data: Uint8Array): Promise<void> | void;
  /** The SHA-256 in hexadecimal; nothing comes after it. */
  digest(): Promise<string> | string;
  /** Gives it up. */
  abandon(): Promise<void> | void;
}

/** A thread takes some 20 ms to start: less than hashing so many bytes. */
const LARGE = 2 ** 25;

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

/** Bytes in shared memory are hashed where they are, others are copied to the thread. */
class HashThread implements Hashing {
  readonly #worker = new Worker(workerUrl(import.meta.url, "./hash-worker.ts"), { execArgv: [] });
  readonly #waiting: { done: (hash: string) => void; failed: (error: unknown) => void }[] = [];

  constructor() {
    this.#worker.on("message", (hash: string) => this.#waiting.shift()?.done(hash));
    this.#worker.on("error", (error) => {
      for (const { failed } of this.#waiting.splice(0)) failed(error);
    });
  }

  async update(data: Uint8Array): Promise<void> {
    await this.#ask(data);
  }

  async digest(): Promise<string> {
    const hash = await this.#ask(undefined);
    await this.#worker.terminate();
    return hash;
  }

  async abandon(): Promise<void> {
    await this.#worker.terminate();
  }

  #ask(message: Uint8Array | undefined): Promise<string> {
    return new Promise((done, failed) => {
      this.#waiting.push({ done, failed });
      this.#worker.postMessage(message);
    });
  }
}
