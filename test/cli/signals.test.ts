/** Signals, closed pipes and terminals, as a shell and a user's hands bring them. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { coloured, Progress } from "../../src/cli/output.ts";
import { checkFiles } from "../../src/store/checksums.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";
import { bertConfig, writeRun } from "../train/data.ts";

const main = join(packageRoot(), "dist", "cli", "main.js");

/** Steps long enough that a signal falls into one. */
const yaml = (steps: number) => `
out: out
model: {init: config.json}
data: {from: data}
objective: mlm
batch: {sequences: 64, accumulate: 4}
steps: ${steps}
evaluate: {every: 0, sequences: 4}
checkpoint: {every: 3, keep: 3}
log: {every: 1}
engine: {kind: onnx, threads: 1}
`;

describe("a run", () => {
  const folder = temporaryFolder();
  const out = join(folder, "out");
  let path: string;

  beforeAll(async () => {
    const config = { ...bertConfig, hidden_size: 64, intermediate_size: 256 };
    path = await writeRun(folder, config, yaml(100_000));
  });

  const begin = () => spawn(process.execPath, [main, "pretrain", path], { stdio: ["ignore", "ignore", "pipe"] });

  const errorsOf = (child: ChildProcess) => {
    const said = { text: "" };
    child.stderr?.on("data", (data) => {
      said.text += data;
    });
    return said;
  };

  const step = () => {
    const metrics = join(out, "metrics.jsonl");
    const lines = existsSync(metrics) ? readFileSync(metrics, "utf8").split("\n").slice(0, -1) : [];
    return lines.length === 0 ? 0 : Number(JSON.parse(lines[lines.length - 1]).step);
  };

  const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once("close", resolve));

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s saves and stops within one step", async (signal, code) => {
    const first = step();
    const child = begin();
    const said = errorsOf(child);
    const end = ended(child);
    while (child.exitCode === null && step() < first + 2) await sleep(5);
    child.kill(signal);
    const at = step();
    expect(await end, said.text).toBe(code);
    expect(said.text).toContain(`${signal}: saving after this step (again to stop at once)`);
    // The step that ran when the signal came; one more where the line of the one before was just being written.
    expect(step() - at).toBeLessThanOrEqual(2);
    expect(await checkFiles(join(out, "checkpoints", `step-${step()}`))).toBe(true);
    expect(said.text).toContain(`stopped after step ${step()}, saved in ${out}; the same command carries on`);
  });

  it("a second SIGINT stops at once and loses no more than the last checkpoint", async () => {
    const first = step();
    const child = begin();
    const said = errorsOf(child);
    const end = ended(child);
    while (child.exitCode === null && step() < first + 5) await sleep(5);
    child.kill("SIGINT");
    while (child.exitCode === null && !said.text.includes("again to stop at once")) await sleep(1);
    child.kill("SIGINT");
    expect(await end).toBe(130);
    const steps = readdirSync(join(out, "checkpoints"))
      .filter((name) => !name.startsWith("."))
      .map((name) => Number(name.slice(5)));
    for (const saved of steps) expect(await checkFiles(join(out, "checkpoints", `step-${saved}`))).toBe(true);
    // Regular checkpoints come every third step.
    expect(Math.max(...steps)).toBeGreaterThanOrEqual(first + 3);
    const lost =
      /SIGINT: stopped at once: (?:no step is|steps (\d+) to (\d+) are) lost; the same command carries on after step (\d+)/;
    const [, from, to, saved] = lost.exec(said.text) ?? [];
    expect(Number(saved), said.text).toBe(Math.max(...steps));
    // What was done may be one step more than what is written down.
    if (from !== undefined) expect(Number(from)).toBe(Number(saved) + 1);
    if (to !== undefined) expect(Number(to) - step()).toBeLessThanOrEqual(1);
    const again = begin();
    const told = errorsOf(again);
    const over = ended(again);
    while (again.exitCode === null && !told.text.includes("carrying on")) await sleep(5);
    again.kill("SIGTERM");
    expect(await over).toBe(143);
    expect(told.text).toContain(`carrying on after step ${Math.max(...steps)} of`);
  });

  it("goes on when nobody reads what it says, and one line of it is enough for `head`", async () => {
    const small = temporaryFolder();
    const run = await writeRun(small, { ...bertConfig, num_hidden_layers: 1 }, yaml(3));
    const script = `node '${main}' pretrain '${run}' 2>&1 | head -1; echo "\${PIPESTATUS[0]}"`;
    const done = spawnSync("bash", ["-c", script], { encoding: "utf8" });
    expect(done.stdout).toMatch(/^engine: .*\n0\n$/);
    expect(done.stderr).toBe("");
    expect(existsSync(join(small, "out", "model", "config.json"))).toBe(true);
  });
});

describe("a closed pipe", () => {
  it.each([["inspect", fixture("bert-tiny")], ["inspect", fixture("gpt2-tiny"), "--json"], ["doctor"]])(
    "ends `%s %s` quietly",
    (...words) => {
      const script = `node '${main}' ${words.map((word) => `'${word}'`).join(" ")} | head -1 | cat; echo "\${PIPESTATUS[0]}"`;
      const done = spawnSync("bash", ["-c", script], { encoding: "utf8" });
      expect(done.stdout).toMatch(/^.+\n0\n$/);
      expect(done.stderr).toBe("");
    },
  );
});

describe("a command with nothing to save", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("ends at %s and leaves nothing", async (signal, code) => {
    const folder = temporaryFolder();
    const config = {
      ...bertConfig,
      vocab_size: 30_000,
      hidden_size: 768,
      intermediate_size: 3072,
      num_hidden_layers: 12,
    };
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    const child = spawn(process.execPath, [main, "init", "config.json", "out"], { cwd: folder, stdio: "ignore" });
    const end = new Promise((resolve) => child.once("close", resolve));
    while (child.exitCode === null && !readdirSync(folder).some((name) => name.startsWith(".out."))) await sleep(5);
    child.kill(signal);
    expect(await end).toBe(code);
    expect(readdirSync(folder)).toEqual(["config.json"]);
  });
});

describe("without a terminal", () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("progress is one line a minute, without control characters", () => {
    const written: string[] = [];
    vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
    let now = 5;
    vi.spyOn(performance, "now").mockImplementation(() => now);
    const progress = new Progress();
    for (let second = 0; second < 181; second++) {
      progress.update(() => `second ${second}`);
      now += 1000;
    }
    progress.end();
    expect(written).toEqual(["second 0\n", "second 60\n", "second 120\n", "second 180\n"]);
  });

  it("and with NO_COLOR on one there is no colour", () => {
    const terminal = Object.assign(Object.create(process.stdout), { isTTY: true });
    vi.stubEnv("TERM", "xterm");
    vi.stubEnv("NO_COLOR", "");
    expect(coloured(terminal)).toBe(true);
    vi.stubEnv("NO_COLOR", "1");
    expect(coloured(terminal)).toBe(false);
    vi.stubEnv("NO_COLOR", "");
    vi.stubEnv("TERM", "dumb");
    expect(coloured(terminal)).toBe(false);
    vi.unstubAllEnvs();
    expect(coloured(Object.assign(Object.create(process.stdout), { isTTY: false }))).toBe(false);
  });
});

/** A terminal of its own for a command, where util-linux's `script` makes one. */
function inTerminal(command: string, env: NodeJS.ProcessEnv): string | undefined {
  // Node takes CI for a terminal without colours.
  const { NO_COLOR, FORCE_COLOR, CI, ...inherited } = process.env;
  const done = spawnSync("script", ["-qec", command, "/dev/null"], {
    encoding: "utf8",
    input: "",
    env: { ...inherited, TERM: "xterm", ...env },
  });
  if (done.status === 0) return done.stdout;
  console.warn(`skipped: no terminal can be made with \`script\` (${done.error?.message ?? done.stderr})`);
  return undefined;
}

describe("on a terminal", () => {
  it("colours are there, and gone with NO_COLOR", ({ skip }) => {
    const inspect = `node '${main}' inspect '${fixture("bert-tiny")}'`;
    const plain = inTerminal(inspect, { NO_COLOR: "1" });
    const colours = inTerminal(inspect, {});
    if (plain === undefined || colours === undefined) return skip();
    expect(colours).toContain("\x1b[1m");
    expect(plain).not.toContain("\x1b[");
    expect(stripVTControlCharacters(colours)).toBe(plain);
    expect(plain.replaceAll("\r\n", "\n")).toBe(cli(["inspect", fixture("bert-tiny")]).stdout);
  });
});
