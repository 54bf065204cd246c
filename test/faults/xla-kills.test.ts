/**
 * Random kills of a run that grows on the XLA engine, now the command itself, now its Python alone: started again with
 * the same words each time, it ends with the same bytes as an undisturbed one. 100 kills with `npm run test:faults`.
 */
import { spawn } from "node:child_process";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { xlaEngine } from "../../src/engine/xla/engine.ts";
import { pythonOf } from "../../src/engine/xla/python.ts";
import { RandomStream } from "../../src/util/random.ts";
import { temporaryFolder } from "../support.ts";
import { gpt2Config, writeRun } from "../train/data.ts";
import { leftOvers, main, runResults } from "./disturb.ts";
import { howMany, patience } from "./scale.ts";

const found = await xlaEngine.probe();
if (!found.usable) console.warn(`skipped: the engine xla (${found.reason})`);

it.skipIf(!found.usable)("a run killed at random moments ends with the same bytes", { timeout: patience }, async () => {
  const folder = temporaryFolder();
  const path = await writeRun(
    folder,
    gpt2Config,
    `
out: out
model: {init: config.json}
data: {from: data}
objective: clm
batch: {sequences: 4}
steps: 400
plan: [{steps: 200}, {grow: {layers: 4, ffn: 80, method: lemon}}]
evaluate: {every: 50, sequences: 16}
checkpoint: {every: 25, keep: 2}
log: {every: 7}
engine: {kind: xla, threads: 1, python: ./known}
`,
  );
  const [known, pid] = [join(folder, "known"), join(folder, "pid")];
  writeFileSync(known, `#!/bin/sh\necho $$ > ${pid}; exec ${pythonOf()} "$@"\n`);
  chmodSync(known, 0o755);
  /** Runs it, and kills one of both after so many seconds. @returns whether it ended before that */
  const live = (seconds: number, host: boolean) =>
    new Promise<boolean>((resolve, reject) => {
      rmSync(pid, { force: true });
      const child = spawn(process.execPath, [main, "pretrain", path], { stdio: ["ignore", "ignore", "pipe"] });
      let said = "";
      child.stderr.on("data", (data) => {
        said += data;
      });
      let killed = false;
      const kill = () => {
        try {
          process.kill(host ? Number(readFileSync(pid, "utf8")) : (child.pid ?? 0), "SIGKILL");
          killed = true;
        } catch {
          // Its Python has not begun, or has ended.
        }
      };
      const timer = setTimeout(kill, 1000 * seconds);
      child.on("close", (code, signal) => {
        clearTimeout(timer);
        if (code === 0) resolve(true);
        else if (signal === "SIGKILL") resolve(false);
        else if (killed && code === 2 && said.includes("the XLA host ended by SIGKILL")) resolve(false);
        else reject(new Error(`it ended with ${code ?? signal}\n${said}`));
      });
    });
  expect(await live(600, false)).toBe(true);
  const undisturbed = runResults(join(folder, "out"));
  rmSync(join(folder, "out"), { recursive: true });
  // Once more, with all that is compiled at hand, as it will be from here on.
  const began = performance.now();
  expect(await live(600, false)).toBe(true);
  const seconds = (performance.now() - began) / 1000;
  expect(runResults(join(folder, "out"))).toEqual(undisturbed);

  const random = new RandomStream(29, "kills of a run on XLA");
  const wanted = howMany(4, 100);
  let [kills, ends] = [0, 0];
  rmSync(join(folder, "out"), { recursive: true });
  for (let lives = 0; kills < wanted || ends === 0; lives++) {
    const after = kills < wanted ? seconds * random.uniform(2 * lives) : 600;
    if (!(await live(after, random.uniform(2 * lives + 1) < 0.5))) {
      kills++;
      continue;
    }
    ends++;
    expect(runResults(join(folder, "out"))).toEqual(undisturbed);
    expect(leftOvers(folder)).toEqual([]);
    rmSync(join(folder, "out"), { recursive: true });
  }
  console.log(`${kills} kills, ${ends} runs that ended with the same bytes`);
});
