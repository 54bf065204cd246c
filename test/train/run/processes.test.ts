/**
 * One run in two processes on this machine: what two devices in one process and one device alone compute, a death in
 * the middle of it, a signal to one of both. `npm test` runs a part of it, since each run compiles its programs anew in
 * two processes; `npm run test:faults` all.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { open, xlaEngine } from "../../../src/engine/xla/engine.ts";
import { pythonOf } from "../../../src/engine/xla/python.ts";
import { architectureOf } from "../../../src/model/architectures.ts";
import { elements } from "../../../src/model/table.ts";
import { buildStep } from "../../../src/train/step/step.ts";
import { UserError } from "../../../src/util/errors.ts";
import { packageRoot } from "../../../src/util/paths.ts";
import { full } from "../../faults/scale.ts";
import { cli, temporaryFolder } from "../../support.ts";
import { bertConfig, gpt2Config, writeRun } from "../data.ts";
import { apart, losses, weightsApart } from "./curves.ts";

// The same programs again and again: compiled once.
process.env.JAX_COMPILATION_CACHE_DIR = join(temporaryFolder(), "compiled");
const found = await xlaEngine.probe();
if (!found.usable) console.warn(`skipped: the engine xla (${found.reason})`);

const yaml = (objective: string, steps: number, plan: string) => `
out: out
model: {init: config.json}
data: {from: data}
objective: ${objective}
batch: {sequences: 4, accumulate: 2}
optimizer: {lr: 2e-3}
steps: ${steps}
plan: ${plan}
evaluate: {every: 25, sequences: 16}
checkpoint: {every: 10, keep: 1}
log: {every: 1}
engine: {kind: xla, threads: 1}
`;

/** An address where nobody listens. */
async function address(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const given = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (given === null || typeof given === "string") throw new Error("no address");
  return `127.0.0.1:${given.port}`;
}

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** Starts a run in two processes; each process's Python leaves its number in a file. */
async function two(path: string, folder: string, sets: readonly string[]) {
  const coordinator = await address();
  return [0, 1].map((process_) => {
    const python = join(folder, `python-${process_}`);
    writeFileSync(python, `#!/bin/sh\necho $$ > ${python}.pid; exec ${pythonOf()} "$@"\n`);
    chmodSync(python, 0o755);
    const hosts = `engine.hosts={coordinator: "${coordinator}", processes: 2, process: ${process_}}`;
    const words = ["pretrain", path, ...[...sets, hosts, `engine.python=${python}`].flatMap((set) => ["--set", set])];
    const child = spawn(process.execPath, [join(packageRoot(), "dist", "cli", "main.js"), ...words]);
    let stderr = "";
    child.stderr.on("data", (piece) => {
      stderr += piece;
    });
    const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, stderr })));
    return { child, ended, host: () => Number(readFileSync(`${python}.pid`, "utf8")) };
  });
}

/** Until a step's line is in the metrics. */
async function reached(out: string, step: number, child: ChildProcess): Promise<void> {
  const path = join(out, "metrics.jsonl");
  while (child.exitCode === null) {
    if (existsSync(path) && readFileSync(path, "utf8").includes(`"step":${step},`)) return;
    await sleep(5);
  }
}

describe.skipIf(!found.usable)("in two processes", () => {
  test.each([...(full ? [{ objective: "mlm", config: bertConfig }] : []), { objective: "clm", config: gpt2Config }])(
    "fifty steps of $config.model_type are those of one",
    { timeout: 900_000 },
    async ({ objective, config }) => {
      const folder = temporaryFolder();
      const path = await writeRun(folder, config, yaml(objective, 50, "full"));
      const alone = (name: string, ...sets: string[]) => {
        const done = cli(["pretrain", path, ...[`out=${name}`, ...sets].flatMap((set) => ["--set", set])]);
        expect(done.stderr).not.toContain("error");
        expect(done.code).toBe(0);
      };
      alone("one");
      const of = (name: string) => losses(join(folder, name));
      for (const axis of full ? ["data", "fsdp"] : ["fsdp"]) {
        const mesh = `engine.mesh={${axis}: 2}`;
        alone(`devices-${axis}`, mesh);
        const name = `processes-${axis}`;
        for (const { ended } of await two(path, folder, [`out=${name}`, mesh])) {
          const { code, stderr } = await ended;
          expect(stderr).not.toContain("error");
          expect(code).toBe(0);
        }
        for (const kind of ["devices", "processes"]) {
          const [mine, theirs] = [of(`${kind}-${axis}`), of("one")];
          expect(mine.steps.length).toBe(50);
          expect(apart(mine.steps, theirs.steps)).toBeLessThan(1e-5);
          expect(apart(mine.evaluations, theirs.evaluations)).toBeLessThan(1e-5);
          expect(await weightsApart(join(folder, `${kind}-${axis}`), join(folder, "one"))).toBeLessThan(1e-5);
        }
      }
      expect(readdirSync(join(folder, "processes-fsdp")).sort()).toEqual(readdirSync(join(folder, "one")).sort());
    },
  );

  test("each holds half of what is split", async () => {
    const model = architectureOf(gpt2Config, "a test").model(gpt2Config, "a test");
    const loss = { objective: "clm", batch: 2, length: 16, perSequence: 16 } as const;
    const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 } as const;
    const { batch } = buildStep(model, { loss, model: { layers: 3, train: 3 }, head: true, accumulate: 1 }, rule);
    const coordinator = await address();
    const engines = await Promise.all(
      [0, 1].map((process_) => {
        const hosts = { coordinator, processes: 2, process: process_ };
        return open({ threads: 1, precision: "f32", options: { mesh: { fsdp: 2 }, hosts } });
      }),
    );
    const programs = await Promise.all(engines.map((engine) => engine.compile(batch)));
    const alone = await open({ threads: 1, precision: "f32" });
    const all = (await alone.compile(batch)).memory?.kept ?? Number.NaN;
    const matrices = model.parameters.filter(({ dims }) => dims.length > 1);
    const split = 12 * matrices.reduce((sum, parameter) => sum + elements(parameter), 0);
    for (const { memory } of programs) {
      console.log(`held by a process: ${memory?.kept} of ${all} B, ${split} B of them in matrices`);
      expect(all - (memory?.kept ?? 0)).toBeGreaterThanOrEqual(split / 2);
    }
    expect(engines.map(({ processes }) => processes?.index)).toEqual([0, 1]);
    const said = await Promise.all(engines.map((engine, i) => engine.processes?.agree([i, -i])));
    expect(said).toEqual([
      [1, 0],
      [1, 0],
    ]);
    await Promise.all([alone, ...engines].map((engine) => engine.close()));
  });

  test.each([{ victim: 1, of: "host" }, ...(full ? [{ victim: 0, of: "command" }] : [])])(
    "the $of of process $victim is killed: the other says so, and the run goes on elsewhere",
    async (killed) => {
      const folder = temporaryFolder();
      const plan = "[{steps: 30}, {grow: {layers: 4, ffn: 80, method: lemon}}]";
      const path = await writeRun(folder, gpt2Config, yaml("clm", 60, plan));
      const out = join(folder, "out");
      const both = await two(path, folder, ["engine.mesh={fsdp: 2}"]);
      const [victim, other] = [both[killed.victim], both[1 - killed.victim]];
      await reached(out, 43, both[0].child);
      const began = performance.now();
      process.kill(killed.of === "host" ? victim.host() : (victim.child.pid ?? 0), "SIGKILL");
      const { code, stderr } = await other.ended;
      expect(performance.now() - began).toBeLessThan(60_000);
      expect(code).toBe(2);
      const said = stderr.split("\n").filter((line) => line.startsWith("error: "));
      expect(said).toEqual([
        expect.stringMatching(/^error: engine xla: another process of the run ended or stands still/),
      ]);
      await victim.ended;
      // On one device now.
      const last = cli(["pretrain", path]);
      expect(last.stderr).toMatch(/carrying on after step (30|40) of 60/);
      expect(last.code).toBe(0);
      expect(cli(["pretrain", path, "--set", "out=one"]).code).toBe(0);
      expect(apart(losses(out).steps, losses(join(folder, "one")).steps)).toBeLessThan(1e-5);
      expect(readdirSync(out).filter((name) => name.startsWith("."))).toEqual([]);
    },
  );

  test.runIf(full)("a signal to one stops both after the same step, saved; both go on", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, bertConfig, yaml("mlm", 300, "full"));
    const both = await two(path, folder, ["engine.mesh={fsdp: 2}"]);
    await reached(join(folder, "out"), 13, both[0].child);
    both[1].child.kill("SIGTERM");
    const ends = await Promise.all(both.map(({ ended }) => ended));
    expect(ends.map(({ code }) => code)).toEqual([143, 143]);
    const steps = ends.map(({ stderr }) => /stopped after step (\d+), saved/.exec(stderr)?.[1]);
    expect(steps[0]).toBe(steps[1]);
    for (const { ended } of await two(path, folder, ["engine.mesh={data: 2}"])) {
      const { code, stderr } = await ended;
      expect(stderr).toContain(`carrying on after step ${steps[0]} of 300`);
      expect(code).toBe(0);
    }
  });

  test("that stand before other checkpoints, or on no cluster, or too few devices, are refused", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, gpt2Config, yaml("clm", 20, "full"));
    expect(cli(["pretrain", path, "--set", "steps=20", "--set", "out=begun"]).code).toBe(0);
    const coordinator = await address();
    const start = (process_: number, out: string, mesh: string) => {
      const hosts = `engine.hosts={coordinator: "${coordinator}", processes: 2, process: ${process_}}`;
      const sets = [hosts, `out=${out}`, `engine.mesh=${mesh}`].flatMap((set) => ["--set", set]);
      const child = spawn(process.execPath, [join(packageRoot(), "dist", "cli", "main.js"), "pretrain", path, ...sets]);
      let stderr = "";
      child.stderr.on("data", (piece) => {
        stderr += piece;
      });
      return new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, stderr })));
    };
    const others = await Promise.all([start(0, "begun", "{data: 2}"), start(1, "another", "{data: 2}")]);
    for (const { code, stderr } of others) {
      expect(stderr).toContain("one process of the run would go on after step 0, another after step 20");
      expect(code).toBe(2);
    }
    const few = await Promise.all([start(0, "new", "{data: 1}"), start(1, "new", "{data: 1}")]);
    for (const { stderr } of few) {
      expect(stderr).toContain("engine.mesh: the mesh takes 1 device, and there are 2 in 2 processes");
    }
    const lost = await open({ threads: 1, precision: "f32", options: { hosts: "auto" } }).catch((error) => error);
    expect(lost).toBeInstanceOf(UserError);
    expect(lost.where).toBe("engine.hosts");
    expect(lost.what).toContain("neither SLURM, Kubernetes, Cloud TPU nor Open MPI was found");
    expect(existsSync(join(folder, "new"))).toBe(false);
  });
});
