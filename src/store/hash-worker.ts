/** Hashes what it is sent, in order, on a thread of its own: the other half of hashing.ts. */
import { createHash } from "node:crypto";
import { answering } from "../util/worker.ts";
import { addFile, type HashMessage } from "./hashing.ts";

const hash = createHash("sha256");
answering(async (message: HashMessage) => {
  if (message === undefined) return hash.digest("hex");
  if ("path" in message) await addFile(hash, message.path);
  else hash.update(message);
  return "";
});
