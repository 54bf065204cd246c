/**
 * What tests share: temporary folders, the command line as a user starts it, optional data and Python peers (a test
 * that lacks them is skipped and says why).
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { packageRoot } from "../src/util/paths.ts";

/** A new empty folder, removed when the test file has run. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "bert2bert-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The small models that transformers made, a folder of test/fixtures each. */
export const fixtures = [
  "bert-tiny",
  "roberta-tiny",
  "gpt2-tiny",
  "llama-tiny",
  "qwen3-tiny",
  "modernbert-tiny",
  "distilbert-tiny",
];

/** A file or folder under test/fixtures. */
export function fixture(...parts: string[]): string {
  return join(packageRoot(), "test", "fixtures", ...parts);
}

/** A file or folder of the optional data beside the repository; undefined, with a printed reason, if it is absent. */
export function sharedData(...parts: string[]): string | undefined {
  const path = join(packageRoot(), "..", "shared", "data", ...parts);
  if (existsSync(path)) return path;
  console.warn(`skipped: ${path} is absent`);
  return undefined;
}

export interface Python {
  /** Runs a script text with arguments and returns its stdout. @throws Error with its stderr if it fails */
  run(script: string, args?: readonly string[]): string;
}

/** The Python of BERT2BERT_PYTHON (default python3) if it has the modules; else undefined, with a printed reason. */
export function python(
  modules: readonly string[],
  command = process.env.BERT2BERT_PYTHON ?? "python3",
): Python | undefined {
  const start = (args: readonly string[]) =>
    spawnSync(command, args, {
      encoding: "utf8",
      maxBuffer: 2 ** 30,
      env: { ...process.env, CUDA_VISIBLE_DEVICES: "", HF_HUB_OFFLINE: "1", TOKENIZERS_PARALLELISM: "false" },
    });
  const check =
    "import importlib.util, sys; print(' '.join(m for m in sys.argv[1:] if importlib.util.find_spec(m) is None))";
  const found = start(["-c", check, ...modules]);
  const missing = found.status === 0 ? found.stdout.trim() : modules.join(" ");
  if (missing !== "") {
    console.warn(`skipped: ${command} lacks ${missing} (set BERT2BERT_PYTHON to a Python that has them)`);
    return undefined;
  }
  return {
    run(script, args = []) {
      const done = start(["-c", script, ...args]);
      if (done.status !== 0) throw new Error(`python failed (${done.status ?? done.signal})\n${done.stderr}`);
      return done.stdout;
    },
  };
}

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built command line. */
export function cli(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): CliResult {
  const done = spawnSync(process.execPath, [join(packageRoot(), "dist", "cli", "main.js"), ...args], {
    encoding: "utf8",
    cwd: options.cwd,
    maxBuffer: 2 ** 28,
    env: { ...process.env, ...options.env },
  });
  return { code: done.status, stdout: done.stdout, stderr: done.stderr };
}
