/** The helper thread of a team: waits for a kernel call, does its part, says so. */
import { workerData } from "node:worker_threads";
import { control, type HelperData, instantiate, MAXIMUM_ARGUMENTS } from "./team.ts";

const { module, memory, control: block, names }: HelperData = workerData;
const kernels = instantiate(module, memory);
const calls = names.map((name) => kernels.get(name));
const words = new Int32Array(block, 0, control.words);
const numbers = new Float64Array(block, control.words * 4, MAXIMUM_ARGUMENTS);

let seen = 0;
for (;;) {
  Atomics.wait(words, control.asked, seen);
  const asked = Atomics.load(words, control.asked);
  if (asked === seen) continue;
  seen = asked;
  try {
    calls[words[control.kernel]]?.(...numbers.subarray(0, words[control.count]));
  } catch {
    words[control.failed] = 1;
  }
  Atomics.store(words, control.done, asked);
  Atomics.notify(words, control.done);
}
