/** What the tests of faults share: the command line over faulty files, and the bytes of folders. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { packageRoot } from "../../src/util/paths.ts";

export type Fault = "ENOSPC" | "EIO" | "SIGKILL";

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

export const main = join(packageRoot(), "dist", "cli", "main.js");

/** Runs a command line whose n-th change of a file fails. */
export function disturbed(words: readonly string[], cwd: string, fault: Fault, n: number): Ended {
  return start(words, cwd, `${fault} ${n}`);
}

/** The changes of files that a command line makes, in order: kind and path. It must succeed. */
export function changesOf(words: readonly string[], cwd: string): readonly string[] {
  const log = join(cwd, "..", "changes.log");
  rmSync(log, { force: true });
  const ended = start(words, cwd, `count ${log}`);
  if (ended.code !== 0) throw new Error(ended.stderr);
  return readFileSync(log, "utf8").split("\n").slice(0, -1);
}

function start(words: readonly string[], cwd: string, fault: string): Ended {
  const preload = fileURLToPath(new URL("faulty-files.mjs", import.meta.url));
  const done = spawnSync(process.execPath, ["--import", preload, main, ...words], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, BERT2BERT_FAULT: fault },
  });
  return { code: done.status, signal: done.signal, stderr: done.stderr };
}

/** SHA-256 of every file below a folder by its path in it; empty if there is no such folder. */
export function hashes(folder: string): Record<string, string> {
  if (!existsSync(folder)) return {};
  const found: Record<string, string> = {};
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found[path.slice(folder.length + 1)] = createHash("sha256").update(readFileSync(path)).digest("hex");
  }
  return found;
}

/** What a run leaves that must not depend on when it was stopped: all files but the clock's, the metrics without it. */
export function runResults(out: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [path, hash] of Object.entries(hashes(out))) {
    // The report, the events and the position hold seconds, SHA256SUMS the position's hash.
    if (!/(^|\/)(report\.html|metrics\.jsonl|events\.out\.tfevents\.[^/]*|trainer\.json|SHA256SUMS)$/.test(path))
      found[path] = hash;
  }
  return { ...found, metrics: metricsOf(out) };
}

/** The lines of a run's metrics without what the clock says. */
export function metricsOf(out: string): readonly unknown[] {
  const path = join(out, "metrics.jsonl");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const { seconds, tokens_per_second, joules, ...rest } = JSON.parse(line);
      return rest;
    });
}

/** What of a dead process is left below a folder. */
export function leftOvers(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(part|old|lock|guard|growth)$/.test(name),
  );
}
