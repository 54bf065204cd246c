/** What makes the command line comfortable: completion in the shells themselves, runs compared. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { commands } from "../../src/cli/commands.ts";
import { readMetrics } from "../../src/train/run/metrics.ts";
import { temporaryFolder } from "../support.ts";
import { bertConfig, writeRun } from "../train/data.ts";
import { inProcess } from "./bad-input/support.ts";

const folder = temporaryFolder();
const scripts = new Map<string, string>();

beforeAll(async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await inProcess(["completion", shell]);
    expect(code).toBe(0);
    scripts.set(shell, join(folder, shell));
    writeFileSync(join(folder, shell), stdout);
  }
});

describe("completion", () => {
  const complete = (...words: string[]) => {
    const given = words.map((word) => `'${word}'`).join(" ");
    const script = `source ${scripts.get("bash")}; COMP_WORDS=(bert2bert ${given}); COMP_CWORD=${words.length}; _bert2bert; echo "\${COMPREPLY[@]}"`;
    const { status, stdout, stderr } = spawnSync("bash", ["-c", script], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout
      .trim()
      .split(" ")
      .filter((word) => word !== "");
  };

  it("completes commands and their options in bash", () => {
    expect(complete("pre").sort()).toEqual(["prepare", "pretrain"]);
    expect(complete("").sort()).toEqual([...commands.map(({ name }) => name), "help"].sort());
    expect(complete("push", "--p")).toEqual(["--private"]);
    expect(complete("tokenizer", "--k")).toEqual(["--kind"]);
    expect(complete("grow", "fold")).toEqual([]);
  });

  it.each(["zsh", "fish"])("is a script that %s reads, and names every command", (shell) => {
    const script = readFileSync(join(folder, shell), "utf8");
    for (const { name } of commands) expect(script).toContain(name);
    if (spawnSync(shell, ["--version"]).status !== 0) return console.warn(`not read by ${shell}: it is absent`);
    expect(spawnSync(shell, ["-n", join(folder, shell)]).status).toBe(0);
  });

  it("is for known shells alone", async () => {
    expect((await inProcess(["completion", "csh"])).code).toBe(2);
  });
});

describe("compare", () => {
  it("shows what runs came to, and the settings they differ in", async () => {
    const keys = "model: {init: config.json}\ndata: {from: data}\nobjective: mlm\nbatch: {sequences: 4}\nsteps: 4\n";
    for (const [name, rate] of [
      ["a", 0.001],
      ["b", 0.002],
    ] as const) {
      const run = await writeRun(
        folder,
        bertConfig,
        `${keys}out: ${name}\noptimizer: {lr: ${rate}}\nevaluate: {every: 4}\n`,
      );
      expect(await inProcess(["pretrain", run])).toMatchObject({ code: 0 });
    }
    const [a, b] = [join(folder, "a"), join(folder, "b")];
    const { runs, differences } = JSON.parse((await inProcess(["compare", a, b, "--json"])).stdout);
    expect(differences).toEqual([{ key: "optimizer.lr", values: ["0.001", "0.002"] }]);
    const last = (await readMetrics(join(b, "metrics.jsonl"))).at(-1);
    expect(runs[1]).toMatchObject({ folder: b, step: 4, tokens: last?.tokens, flops: last?.flops.exact });
    expect((await inProcess(["compare", a, b])).stdout).toMatch(/\noptimizer\.lr +0\.001 +0\.002\n$/);
    expect((await inProcess(["compare", join(folder, "data")])).stderr).toMatch(/it is no run/);
  });
});
