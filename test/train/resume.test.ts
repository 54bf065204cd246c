import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, temporaryFolder } from "../support.ts";
import { bertConfig, gpt2Config, writeRun } from "./data.ts";

/** Stages end at 15 and 30; checkpoints (7), log lines (4) and evaluations (10) fall between and beside. */
const yaml = (objective: string, out: string) => `
out: ${out}
model: {init: config.json}
data: {from: data}
objective: ${objective}
batch: {sequences: 4, accumulate: 2}
optimizer: {lr: 5e-3}
steps: 30
plan: {two-stage: {block: 2, share: 0.5}}
evaluate: {every: 10, sequences: 16}
checkpoint: {every: 7, keep: 2}
log: {every: 4}
engine: {kind: onnx, threads: 1}
`;

function start(path: string): ChildProcess {
  return spawn(process.execPath, [join(packageRoot(), "dist", "cli", "main.js"), "pretrain", path], {
    stdio: "ignore",
  });
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: string | null }> {
  return new Promise((resolve) => child.on("exit", (code, signal) => resolve({ code, signal })));
}

function lines(out: string): Record<string, unknown>[] {
  const path = join(out, "metrics.jsonl");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** The metrics without what the clock says. */
function timeless(out: string): unknown[] {
  return lines(out).map(({ seconds, tokens_per_second, ...rest }) => rest);
}

/** The hashes of all that must not depend on when a run was stopped. */
function results(out: string): Record<string, string> {
  const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
  const last = join(out, "checkpoints", "step-30");
  return {
    weights: hash(join(out, "model", "model.safetensors")),
    config: hash(join(out, "model", "config.json")),
    checkpoint: hash(join(last, "model.safetensors")),
    moments: hash(join(last, "optimizer.safetensors")),
    checkpoints: readdirSync(join(out, "checkpoints")).sort().join(),
  };
}

/** Waits until the metrics hold a line of a step at or after this one, or the child ends. */
async function reached(child: ChildProcess, out: string, step: number): Promise<void> {
  while (child.exitCode === null) {
    if (lines(out).some((line) => Number(line.step) >= step)) return;
    await sleep(2);
  }
}

describe.each([
  { objective: "mlm", config: bertConfig, signal: "SIGINT", code: 130 },
  { objective: "clm", config: gpt2Config, signal: "SIGTERM", code: 143 },
] as const)("a run with dropout and accumulation, $objective", ({ objective, config, signal, code }) => {
  const folder = temporaryFolder();
  const run = (name: string) => {
    const path = writeRun(folder, config, yaml(objective, name));
    const own = join(folder, `${name}.yaml`);
    writeFileSync(own, readFileSync(path));
    return { path: own, out: join(folder, name) };
  };
  let whole: { path: string; out: string };

  beforeAll(() => {
    whole = run("whole");
    expect(cli(["pretrain", whole.path]).code).toBe(0);
  });

  it("gives the same bytes twice", () => {
    const again = run("again");
    expect(cli(["pretrain", again.path]).code).toBe(0);
    expect(results(again.out)).toEqual(results(whole.out));
    expect(timeless(again.out)).toEqual(timeless(whole.out));
    expect(
      lines(again.out)
        .filter((line) => "evaluation" in line)
        .map((line) => line.step),
    ).toEqual([0, 10, 20, 30]);
  });

  it.each([
    ["in the middle of a stage", [8]],
    ["beside a stage boundary, and again in the next stage", [12, 16, 24]],
  ])("killed %s it ends with the same bytes", async (_, steps) => {
    const killed = run(`killed-${steps.join("-")}`);
    for (const step of steps) {
      const child = start(killed.path);
      const end = ended(child);
      await reached(child, killed.out, step);
      child.kill("SIGKILL");
      expect((await end).signal).toBe("SIGKILL");
    }
    const done = cli(["pretrain", killed.path]);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toContain("carrying on after step");
    expect(results(killed.out)).toEqual(results(whole.out));
    expect(timeless(killed.out)).toEqual(timeless(whole.out));
  });

  it(`${signal} saves and stops, and the same command carries on`, async () => {
    const stopped = run(signal);
    const child = start(stopped.path);
    const end = ended(child);
    await reached(child, stopped.out, 4);
    child.kill(signal);
    expect((await end).code).toBe(code);
    expect(readdirSync(stopped.out)).not.toContain("model");
    expect(readdirSync(stopped.out)).not.toContain("run.lock");
    const steps = readdirSync(join(stopped.out, "checkpoints")).map((name) => Number(name.slice(5)));
    const last = Math.max(...steps);
    expect(last).toBeGreaterThanOrEqual(4);
    const done = cli(["pretrain", stopped.path]);
    expect(done.stderr).toContain(`carrying on after step ${last} of 30`);
    const { checkpoints, ...bytes } = results(stopped.out);
    expect(results(whole.out)).toMatchObject(bytes);
    expect(checkpoints).toContain("step-30");
    expect(timeless(stopped.out)).toEqual(timeless(whole.out));
  });

  it("refuses a folder that holds another run, and one that holds something else", () => {
    const other = cli(["pretrain", whole.path, "--set", "optimizer.lr=1e-3"]);
    expect(other.code).toBe(2);
    expect(other.stderr).toContain("holds another run: `optimizer.lr` was 0.005 and is now 0.001");
    const foreign = run("foreign");
    mkdirSync(foreign.out);
    writeFileSync(join(foreign.out, "notes.txt"), "mine");
    const refused = cli(["pretrain", foreign.path]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("is not empty and holds no run (there is notes.txt)");
    expect(readdirSync(foreign.out)).toEqual(["notes.txt"]);
  });

  it("goes back to the checkpoint before one that is damaged", () => {
    // The one that was never stopped is not needed any more.
    const damaged = whole;
    const before = { ...results(whole.out), metrics: timeless(whole.out) };
    const last = join(damaged.out, "checkpoints", "step-30");
    writeFileSync(join(last, "model.safetensors"), readFileSync(join(last, "model.safetensors")).subarray(0, 5000));
    const done = cli(["pretrain", damaged.path]);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toContain("step-30 is damaged and left out");
    expect(done.stderr).toContain("carrying on after step 28 of 30");
    expect({ ...results(damaged.out), metrics: timeless(damaged.out) }).toEqual(before);
  });
});

describe("a run that diverges", () => {
  it("stops, names the step and keeps the last good checkpoint", () => {
    const folder = temporaryFolder();
    const path = writeRun(folder, gpt2Config, yaml("clm", "out"));
    const done = cli([
      ...["pretrain", path, "--set", "optimizer.lr=1e30", "--set", "optimizer.clip=0"],
      ...["--set", "schedule.decay=constant", "--set", "schedule.warmup=0", "--set", "checkpoint.every=1"],
    ]);
    expect(done.code).toBe(2);
    expect(done.stderr).toMatch(/step \d+ gave a (loss|gradient) that is not a number/);
    expect(readdirSync(join(folder, "out"))).not.toContain("model");
  });
});
