import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { onednnEngine } from "../../../src/engine/onednn/engine.ts";
import { packageRoot } from "../../../src/util/paths.ts";
import { readTensors } from "../../probe/fixtures.ts";
import { cli, temporaryFolder } from "../../support.ts";
import { bertConfig, gpt2Config, pairsConfig, writeRun } from "../data.ts";

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
  return lines(out).map(({ seconds, tokens_per_second, joules, ...rest }) => rest);
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
    files: `${readdirSync(join(out, "model")).sort()} and ${readdirSync(last).sort()}`,
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
  { objective: "mlm+nsp", config: pairsConfig, signal: "SIGTERM", code: 143 },
  { objective: "clm", config: gpt2Config, signal: "SIGTERM", code: 143 },
] as const)("a run with dropout and accumulation, $objective", ({ objective, config, signal, code }) => {
  const folder = temporaryFolder();
  const run = async (name: string) => {
    const path = await writeRun(folder, config, yaml(objective, name));
    const own = join(folder, `${name}.yaml`);
    writeFileSync(own, readFileSync(path));
    return { path: own, out: join(folder, name) };
  };
  // What does not depend on the model is tried with one of the two: every start costs a second.
  let whole: { path: string; out: string };

  beforeAll(async () => {
    whole = await run("whole");
    expect(cli(["pretrain", whole.path]).code).toBe(0);
  });

  it.runIf(objective === "clm")("gives the same bytes twice", async () => {
    const again = await run("again");
    expect(cli(["pretrain", again.path]).code).toBe(0);
    expect(results(again.out)).toEqual(results(whole.out));
    expect(timeless(again.out)).toEqual(timeless(whole.out));
    expect(
      lines(again.out)
        .filter((line) => "evaluation" in line)
        .map((line) => line.step),
    ).toEqual([0, 10, 20, 30]);
  });

  it("killed in the middle of a stage, beside its boundary and in the next one it ends with the same bytes", async () => {
    const killed = await run("killed");
    for (const step of [8, 12, 16, 24]) {
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
    const stopped = await run(signal);
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
    expect(readdirSync(join(stopped.out, "model"))).toContain("vocab.txt");
    const { checkpoints, ...bytes } = results(stopped.out);
    expect(results(whole.out)).toMatchObject(bytes);
    expect(checkpoints).toContain("step-30");
    expect(timeless(stopped.out)).toEqual(timeless(whole.out));
  });

  it.runIf(objective === "mlm")(
    "refuses a folder that holds another run, and one that holds something else",
    async () => {
      const other = cli(["pretrain", whole.path, "--set", "optimizer.lr=1e-3"]);
      expect(other.code).toBe(2);
      expect(other.stderr).toContain("holds another run: `optimizer.lr` was 0.005 and is now 0.001");
      const foreign = await run("foreign");
      mkdirSync(foreign.out);
      writeFileSync(join(foreign.out, "notes.txt"), "mine");
      const refused = cli(["pretrain", foreign.path]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("is not empty and holds no run (there is notes.txt)");
      expect(readdirSync(foreign.out)).toEqual(["notes.txt"]);
    },
  );

  it.runIf(objective === "mlm")("goes back to the checkpoint before one that is damaged", async () => {
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

/** Byte for byte on the fast engine too, with all its threads; then on the other, whose curve continues. */
const fast = await onednnEngine.probe();
if (!fast.usable) console.warn(`skipped: resume on the oneDNN engine (${fast.reason})`);
describe.runIf(fast.usable)("on the oneDNN engine", () => {
  it("a killed run ends with the same bytes, and the other engine carries one on", async () => {
    const folder = temporaryFolder();
    const settings = (out: string) =>
      yaml("mlm", out).replace("{kind: onnx, threads: 1}", "{kind: onednn, threads: 2, precision: f32}");
    const whole = join(folder, "whole");
    const path = await writeRun(folder, bertConfig, settings("whole"));
    const done = cli(["pretrain", path]);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toContain("engine: oneDNN");
    const named = (name: string) => {
      const own = join(folder, `${name}.yaml`);
      writeFileSync(own, settings(name));
      return { path: own, out: join(folder, name) };
    };
    const killed = named("killed");
    const child = start(killed.path);
    const end = ended(child);
    await reached(child, killed.out, 12);
    child.kill("SIGKILL");
    await end;
    const resumed = cli(["pretrain", killed.path]);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(results(killed.out)).toEqual(results(whole));
    expect(timeless(killed.out)).toEqual(timeless(whole));

    const moved = named("moved");
    const first = start(moved.path);
    const stopped = ended(first);
    await reached(first, moved.out, 12);
    first.kill("SIGTERM");
    await stopped;
    const other = cli(["pretrain", moved.path, "--set", "engine.kind=onnx"]);
    expect(other.code, other.stderr).toBe(0);
    expect(other.stderr).toContain("the run went on oneDNN");
    expect(readFileSync(join(moved.out, "report.html"), "utf8")).toMatch(
      /<dt>Engines, in turn<.dt><dd>oneDNN[^<]*; onnx/i,
    );
    const losses = (out: string) =>
      timeless(out).map((line) => JSON.parse(JSON.stringify(line)).evaluation?.loss ?? Number.NaN);
    losses(moved.out).forEach((loss, i) => {
      if (!Number.isNaN(loss)) expect(Math.abs(loss - losses(whole)[i])).toBeLessThan(1e-4 * loss);
    });
  });
});

describe("a run that grows between its stages", () => {
  const staged = (out: string) =>
    yaml("mlm", out)
      .replace("steps: 30", "steps: 24")
      .replace(
        "plan: {two-stage: {block: 2, share: 0.5}}",
        `plan:
  - {name: quarter, share: 0.25}
  - {name: half, share: 0.25, grow: {layers: 2, moments: drop}, schedule: {warmup: 2, decay: linear}}
  - {name: wide, grow: {hidden: 32, moments: grow}, optimizer: keep, models: [{layers: 2, train: 1}, {layers: 2, train: 2}]}`,
      );

  it("ends with the same bytes when killed beside the growth, and FPI keeps the loss", async () => {
    const folder = temporaryFolder();
    const shallow = { ...bertConfig, num_hidden_layers: 1 };
    const path = await writeRun(folder, shallow, staged("whole"));
    const planned = cli(["plan", path, "--json"]);
    expect(planned.code, planned.stderr).toBe(0);
    const stages: { models: { layers: number }[] }[] = JSON.parse(planned.stdout).stages;
    expect(stages.map((stage) => stage.models[0].layers)).toEqual([1, 2, 2]);
    const done = cli(["pretrain", path]);
    expect(done.code, done.stderr).toBe(0);
    const whole = join(folder, "whole");
    const config = JSON.parse(readFileSync(join(whole, "model", "config.json"), "utf8"));
    expect(config).toMatchObject({ num_hidden_layers: 2, hidden_size: 32, intermediate_size: 64 });
    expect(readdirSync(join(whole, "model"))).toContain("growth.json");
    expect(readdirSync(whole)).not.toContain(".growth");
    // Evaluated before and after each growth, where no other evaluation is due either.
    const evaluated = lines(whole).filter((line) => "evaluation" in line);
    expect(evaluated.map((line) => `${line.step} ${line.stage}`)).toEqual([
      ...["0 quarter", "6 quarter", "6 half", "10 half", "12 half", "12 wide", "20 wide", "24 wide"],
    ]);

    const killed = { path: join(folder, "killed.yaml"), out: join(folder, "killed") };
    writeFileSync(killed.path, staged("killed"));
    for (const step of [6, 12, 20]) {
      const child = start(killed.path);
      const end = ended(child);
      await reached(child, killed.out, step);
      child.kill("SIGKILL");
      expect((await end).signal).toBe("SIGKILL");
    }
    expect(cli(["pretrain", killed.path]).code).toBe(0);
    const bytes = (out: string) => readFileSync(join(out, "model", "model.safetensors")).toString("base64");
    expect(bytes(killed.out)).toBe(bytes(whole));
    expect(timeless(killed.out)).toEqual(timeless(whole));
  });

  it("trains the new blocks alone, of a growth of its own or of the folder it starts from, killed or not", async () => {
    const folder = temporaryFolder();
    const pro = (out: string) =>
      yaml("clm", out)
        .replace("steps: 30", "steps: 16")
        .replace(
          "plan: {two-stage: {block: 2, share: 0.5}}",
          "plan: [{name: base, steps: 6}, {name: new, grow: {layers: 5, depth: zero}, train: new}]",
        );
    const path = await writeRun(folder, gpt2Config, pro("whole"));
    const planned = cli(["plan", path, "--json"]);
    expect(planned.code, planned.stderr).toBe(0);
    const stages: { models: Record<string, unknown>[] }[] = JSON.parse(planned.stdout).stages;
    // Three source layers, a new one above the second and the third.
    expect(stages[1].models).toMatchObject([{ layers: 5, train: 2, blocks: [2, 4] }]);
    expect(cli(["plan", path]).stdout).toContain("all 5, trained 2 4");
    const whole = join(folder, "whole");
    expect(cli(["pretrain", path]).code).toBe(0);
    const resolved = readFileSync(join(whole, "run.yaml"), "utf8");
    expect(resolved).toContain("train: new");
    expect(resolved.match(/head: (true|false)/g)).toEqual(["head: true", "head: false"]);

    const killed = { path: join(folder, "killed.yaml"), out: join(folder, "killed") };
    writeFileSync(killed.path, pro("killed"));
    for (const step of [7, 14]) {
      const child = start(killed.path);
      const end = ended(child);
      await reached(child, killed.out, step);
      child.kill("SIGKILL");
      await end;
    }
    expect(cli(["pretrain", killed.path]).code).toBe(0);
    const bytes = (out: string, file = "model.safetensors") =>
      readFileSync(join(out, "checkpoints", "step-16", file)).toString("base64");
    expect(bytes(killed.out)).toBe(bytes(whole));
    expect(bytes(killed.out, "optimizer.safetensors")).toBe(bytes(whole, "optimizer.safetensors"));
    expect(timeless(killed.out)).toEqual(timeless(whole));

    // The same blocks, known from the folder's growth.json; what stands still keeps its bytes.
    const grown = join(folder, "grown");
    const source = join(folder, "killed", "checkpoints", "step-16");
    expect(cli(["grow", source, grown, "--layers", "7", "--method", "fpi", "--depth", "middle"]).code).toBe(0);
    const further = join(folder, "further.yaml");
    writeFileSync(
      further,
      pro("further")
        .replace("{init: config.json}", "{from: grown}")
        .replace(/plan: .*/, "plan: [{train: new}]"),
    );
    expect(cli(["pretrain", further]).code).toBe(0);
    const [before, after] = await Promise.all(
      [grown, join(folder, "further", "model")].map((at) => readTensors(join(at, "model.safetensors"))),
    );
    const moved = [...after].filter(
      ([name, { data }]) => !data.every((value, i) => value === before.get(name)?.data[i]),
    );
    expect(new Set(moved.map(([name]) => name.split(".")[2]))).toEqual(new Set(["3", "4"]));
  });

  it("keeps the function where the method promises it, and refuses what can't be grown before it starts", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, bertConfig, yaml("mlm", "out").replace("steps: 30", "steps: 4"));
    const plan = (hidden: number) => `plan=[{steps: 2}, {grow: {hidden: ${hidden}, moments: grow}}]`;
    const refused = cli(["pretrain", path, "--set", plan(20)]);
    expect(refused.code).toBe(2);
    expect(readdirSync(folder)).not.toContain("out");
    const done = cli(["pretrain", path, "--set", plan(48), "--set", "evaluate.every=2"]);
    expect(done.code, done.stderr).toBe(0);
    const losses = lines(join(folder, "out"))
      .filter((line) => "evaluation" in line && line.step === 2)
      .map((line) => JSON.parse(JSON.stringify(line)).evaluation.loss);
    expect(losses).toHaveLength(2);
    expect(Math.abs(losses[0] - losses[1])).toBeLessThan(1e-5);
  });
});

describe("a run that diverges", () => {
  it("stops, names the step and keeps the last good checkpoint", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, gpt2Config, yaml("clm", "out"));
    const done = cli([
      ...["pretrain", path, "--set", "optimizer.lr=1e30", "--set", "optimizer.clip=0"],
      ...["--set", "schedule.decay=constant", "--set", "schedule.warmup=0", "--set", "checkpoint.every=1"],
    ]);
    expect(done.code).toBe(2);
    expect(done.stderr).toMatch(/step \d+ gave a (loss|gradient) that is not a number/);
    expect(readdirSync(join(folder, "out"))).not.toContain("model");
  });
});
