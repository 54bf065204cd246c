/**
 * The SHA-256 of a large file on a thread of its own: of one that is written, while this thread makes the next bytes and
 * the system takes these, and of one that is read, while other work goes on.
 */
import { createHash, type Hash } from "node:crypto";
import { Thread, workerUrl } from "../util/worker.ts";
import { piecesOf } from "./places.ts";

/** For the thread: the next bytes, a file to take to its end, or that no more is to come. */
export type HashMessage = Uint8Array | { readonly path: string } | undefined;

export type Hashing = ReturnType<typeof hashing>;

/** A thread takes some 20 ms to start: less than hashing so many bytes. */
export const LARGE = 2 ** 25;

const newThread = () =>
  new Thread<HashMessage, string>(workerUrl(import.meta.url, "./hash-worker.ts"), { execArgv: [] });

/**
 * `update` takes the next bytes, which may change once what it gives is settled; `digest` gives the SHA-256 in
 * hexadecimal, and nothing comes after it; `abandon` gives it up. @param bytes how many there will be, about
 */
export function hashing(bytes: number) {
  if (bytes >= LARGE) {
    const thread = newThread();
    return {
      async update(data: Uint8Array) {
        // A message takes all memory that a view looks into; what is shared is hashed where it is.
        await thread.ask(data.buffer instanceof ArrayBuffer ? new Uint8Array(data) : data);
      },
      digest: () => thread.ask(undefined).finally(() => thread.end()),
      abandon: () => thread.end(),
    };
  }
  const hash = createHash("sha256");
  return {
    update(data: Uint8Array) {
      hash.update(data);
    },
    digest: () => hash.digest("hex"),
    abandon: () => {},
  };
}

/** The SHA-256 of a whole file in hexadecimal, on a thread of its own. @param signal ends it; it then fails */
export async function hashApart(path: string, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  const thread = newThread();
  const giveUp = () => thread.end();
  signal?.addEventListener("abort", giveUp);
  try {
    await thread.ask({ path });
    return await thread.ask(undefined);
  } finally {
    signal?.removeEventListener("abort", giveUp);
    await thread.end();
  }
}

/** Takes all bytes of a file. */
export async function addFile(hash: Hash, path: string): Promise<void> {
  for await (const bytes of piecesOf(path)) hash.update(bytes);
}
