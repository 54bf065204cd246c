/**
 * A training step of ours for bench/cpu-speed.ts, a process of its own like the peers, with the same lines in and out:
 * what to do as JSON, then numbers of steps. Runs from dist/.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { openStep } from "./step.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { opened, executable, inputs, flops } = await openStep(JSON.parse((await lines.next()).value));
console.log(JSON.stringify({ ready: opened.description, flops }));
let step = 0;
for await (const line of lines) {
  const [seconds, processor] = [[], []];
  for (let i = 0; i < Number(line); i++) {
    const given = inputs(step++);
    const [start, before] = [performance.now(), process.cpuUsage()];
    await executable.run(given);
    const { user, system } = process.cpuUsage(before);
    seconds.push((performance.now() - start) / 1000);
    processor.push((user + system) / 1e6);
  }
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  console.log(JSON.stringify({ seconds, processor, peak }));
}
await opened.close();
