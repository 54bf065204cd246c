/** One writer: real processes on one folder, at once, alive and dead. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, temporaryFolder } from "../support.ts";
import { gpt2Config, writeRun } from "../train/data.ts";
import { main } from "./disturb.ts";
import { howMany } from "./scale.ts";

function ended(child: ChildProcess): Promise<{ code: number | null; errors: string }> {
  let errors = "";
  child.stderr?.on("data", (data) => {
    errors += data;
  });
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, errors })));
}

describe("two processes on one run", () => {
  it("the second says who holds it and stops; killed, the first does not block the next", async () => {
    const folder = temporaryFolder();
    const yaml = `
out: out
model: {init: config.json}
data: {from: data}
objective: clm
batch: {sequences: 2}
steps: 1000000
evaluate: {every: 0, sequences: 2}
checkpoint: {every: 20}
log: {every: 1}
engine: {kind: onnx, threads: 1}
`;
    const path = await writeRun(folder, { ...gpt2Config, n_layer: 1 }, yaml);
    const first = spawn(process.execPath, [main, "pretrain", path], { stdio: "ignore" });
    onTestFinished(() => {
      first.kill("SIGKILL");
    });
    const checkpoints = join(folder, "out", "checkpoints");
    while (!existsSync(checkpoints) || readdirSync(checkpoints).length === 0) await sleep(10);
    const second = cli(["pretrain", path]);
    expect(second.code).toBe(2);
    expect(second.stderr).toContain(`run.lock: the run is held by process ${first.pid} on ${hostname()}`);
    expect(second.stderr).toContain("hint: wait for it to end or stop it");
    expect(first.exitCode).toBeNull();
    const gone = new Promise((resolve) => first.once("exit", resolve));
    first.kill("SIGKILL");
    await gone;
    expect(existsSync(join(folder, "out", "run.lock"))).toBe(true);
    const third = spawn(process.execPath, [main, "pretrain", path], { stdio: ["ignore", "ignore", "pipe"] });
    const end = ended(third);
    const lock = join(folder, "out", "run.lock");
    while (third.exitCode === null && !readFileSync(lock, "utf8").includes(`"pid":${third.pid},`)) await sleep(10);
    third.kill("SIGINT");
    const { code, errors } = await end;
    expect(code, errors).toBe(130);
    expect(errors).toMatch(/carrying on after step \d+ of 1000000/);
    expect(existsSync(lock)).toBe(false);
  });
});

describe("many processes at once", () => {
  it("are never two at a time inside, though holders die in between", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "log"));
    const lock = JSON.stringify(join(packageRoot(), "dist", "store", "lock.js"));
    const rounds = howMany(40, 1000);
    // A holder that dies is played by one that leaves its file behind with a life that is not its own.
    const script = `
      import { mkdirSync, readFileSync, rmdirSync, writeFileSync, renameSync } from "node:fs";
      import { takeLock } from ${lock};
      let dead = 0;
      for (let round = 0; round < ${rounds}; ) {
        let held;
        try { held = await takeLock("the.lock", "it"); } catch (error) {
          if (error.name !== "UserError" || !error.message.includes("is held by process")) throw error;
          await new Promise((later) => setTimeout(later, 1)); continue;
        }
        mkdirSync("inside");
        if (round % 3 === 0) await new Promise((later) => setTimeout(later, 1));
        rmdirSync("inside");
        round++;
        if (round % 2 === 0) {
          const left = JSON.stringify({ ...JSON.parse(readFileSync("the.lock", "utf8")), life: process.pid + "-" + dead++ });
          writeFileSync("log/" + process.pid, left);
          renameSync("log/" + process.pid, "the.lock");
        }
        held.release();
      }`;
    const children = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ["--input-type=module", "-e", script], {
        cwd: folder,
        stdio: ["ignore", "ignore", "pipe"],
      }),
    );
    for (const { code, errors } of await Promise.all(children.map(ended))) expect(code, errors).toBe(0);
    // The last holder may have been one that died; nothing else is left.
    expect(readdirSync(folder).filter((name) => name !== "the.lock")).toEqual(["log"]);
  });
});
