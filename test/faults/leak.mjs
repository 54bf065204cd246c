/**
 * Takes ever more memory: `node --import` reads it before a command that the kernel is to kill for it.
 * BERT2BERT_LEAK: MB a second, and a path: it begins when something stands there.
 */
import { existsSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const taken = [];
const [megabytes, path] = (process.env.BERT2BERT_LEAK ?? "").split(" ");
const take = () => {
  if (taken.length > 0 || existsSync(path)) taken.push(Buffer.alloc(Number(megabytes) * 2 ** 15, 1));
};
if (isMainThread) setInterval(take, 1000 / 32).unref();
