/** Hashes what it is sent, in order, on a thread of its own: the other half of hashing.ts. */
import { createHash } from "node:crypto";
import { parentPort } from "node:worker_threads";

const hash = createHash("sha256");
parentPort?.on("message", (data: Uint8Array | undefined) => {
  if (data === undefined) parentPort?.postMessage(hash.digest("hex"));
  else {
    hash.update(data);
    parentPort?.postMessage("");
  }
});
