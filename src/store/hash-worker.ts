/** Hashes what it is sent, in order, on a thread of its own: the other half of hashing.ts. */
import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { HashMessage } from "./hashing.ts";

const hash = createHash("sha256");
parentPort?.on("message", (message: HashMessage) => {
  if (message === undefined) {
    parentPort?.postMessage(hash.digest("hex"));
    return;
  }
  if ("path" in message) addFile(hash, message.path);
  else hash.update(message);
  parentPort?.postMessage("");
});

function addFile(to: Hash, path: string): void {
  const buffer = new Uint8Array(2 ** 20);
  const file = openSync(path, "r");
  try {
    for (;;) {
      const length = readSync(file, buffer, 0, buffer.length, null);
      if (length === 0) return;
      to.update(buffer.subarray(0, length));
    }
  } finally {
    closeSync(file);
  }
}
