import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, temporaryFolder } from "../support.ts";
import { records, studyYaml, timeless, writeStudy } from "./support.ts";

const yaml = studyYaml(`
  scratch: {lr: [1e-2, 2e-2]}
  aki-two-stage: {seeds: [1, 2]}
  stackbert:
`);

function start(path: string): { child: ChildProcess; end: Promise<number | string | null>; said: () => string } {
  const main = join(packageRoot(), "dist", "cli", "main.js");
  // In a process group of its own, so that it can be killed with all it started.
  const child = spawn(process.execPath, [main, "study", path], { detached: true, stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  child.stderr?.on("data", (data) => {
    text += data;
  });
  const end = new Promise<number | string | null>((resolve) =>
    child.on("close", (code, signal) => resolve(signal ?? code)),
  );
  return { child, end, said: () => text };
}

/** Everything that must not depend on how the study was run. */
function outcome(folder: string): unknown {
  const results = JSON.parse(readFileSync(join(folder, "out", "study.json"), "utf8"));
  const table = readFileSync(join(folder, "out", "study.md"), "utf8").split("\n## ")[1];
  return { results: timeless(results), table, records: records(join(folder, "out", "records")) };
}

/** How far a study has come: files of its cells and lines of its runs' metrics. */
function done(folder: string): number {
  const cells = join(folder, "out", "cells");
  if (!existsSync(cells)) return 0;
  return readdirSync(cells).reduce((sum, cell) => {
    const metrics = join(cells, cell, "run", "metrics.jsonl");
    return sum + 1 + (existsSync(metrics) ? readFileSync(metrics, "utf8").split("\n").length : 0);
  }, 0);
}

/** The cells that a study says it begins. */
function begun(said: string): string[] {
  return [...said.matchAll(/^(.*) \(\d+ of \d+ runs done\)$/gm)].map(([, title]) => title);
}

describe("a study", () => {
  const whole = temporaryFolder();
  const titles: string[] = [];
  beforeAll(async () => {
    const run = cli(["study", await writeStudy(whole, yaml)]);
    expect(run.code, run.stderr).toBe(0);
    titles.push(...begun(run.stderr));
  });

  it("killed five times with all it started ends with the same table", async () => {
    const folder = temporaryFolder();
    const path = await writeStudy(folder, yaml);
    const all = done(whole);
    for (const share of [0.02, 0.2, 0.45, 0.6, 0.85]) {
      const { child, end } = start(path);
      while (child.exitCode === null && done(folder) < share * all) await sleep(2);
      expect(child.exitCode).toBe(null);
      process.kill(-(child.pid ?? 0), "SIGKILL");
      expect(await end).toBe("SIGKILL");
    }
    const last = cli(["study", path]);
    expect(last.code, last.stderr).toBe(0);
    expect(begun(last.stderr).length).toBeLessThan(titles.length);
    expect(outcome(folder)).toEqual(outcome(whole));
  });

  it("started twice at once does the work once", async () => {
    const folder = temporaryFolder();
    const path = await writeStudy(folder, yaml);
    const both = [start(path), start(path)];
    expect(await Promise.all(both.map(({ end }) => end))).toEqual([0, 0]);
    expect(both.flatMap(({ said }) => begun(said())).sort()).toEqual([...titles].sort());
    expect(outcome(folder)).toEqual(outcome(whole));
  });

  it("stops at a signal, saves, and says so", async () => {
    const folder = temporaryFolder();
    const path = await writeStudy(folder, yaml);
    const { child, end, said } = start(path);
    while (child.exitCode === null && done(folder) < 12) await sleep(2);
    child.kill("SIGTERM");
    expect(await end).toBe(143);
    expect(said()).toMatch(/the same command (carries on|goes on from here)/);
    expect(readdirSync(join(folder, "out", "cells")).filter((name) => name.endsWith(".lock"))).toEqual([]);
  });
});
