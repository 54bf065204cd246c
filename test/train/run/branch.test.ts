/**
 * A run carried further from a checkpoint of another: byte for byte what a run is that had its schedule from the start,
 * however often either was stopped.
 */
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { pretrain } from "../../../src/train/pretrain.ts";
import { loadRun } from "../../../src/train/run/settings.ts";
import { Interrupted, UserError } from "../../../src/util/errors.ts";
import { cli, temporaryFolder } from "../../support.ts";
import { bertConfig, gpt2Config, writeRun } from "../data.ts";

/** Growth at 6 of the steps, sub-models until 12; checkpoints fall between. */
const plan =
  "[{steps: 6}, {steps: 6, grow: {layers: 6}, models: [{layers: 3, train: 2}, {layers: 6, train: 3}]}, {name: whole}]";
const yaml = (lines: Readonly<Record<string, string>>) =>
  Object.entries({
    data: "{from: data}",
    objective: "mlm",
    batch: "{sequences: 4, accumulate: 2}",
    optimizer: "{lr: 5e-3}",
    plan,
    evaluate: "{every: 5, sequences: 16}",
    checkpoint: "{every: 0, keep: 1, at: [5, 6, 9, 14]}",
    log: "{every: 4}",
    engine: "{kind: onnx, threads: 1}",
    ...lines,
  })
    .map(([key, value]) => `${key}: ${value}\n`)
    .join("");

const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** All that a run's end is, but for what the clock says. */
function results(out: string, step: number) {
  const last = join(out, "checkpoints", `step-${step}`);
  return {
    weights: hash(join(out, "model", "model.safetensors")),
    moments: hash(join(last, "optimizer.safetensors")),
    metrics: readFileSync(join(out, "metrics.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line))
      .map(({ seconds, tokens_per_second, joules, ...rest }) => rest),
  };
}

describe.each([
  { objective: "mlm", config: bertConfig },
  { objective: "clm", config: { ...gpt2Config, n_layer: 4 } },
])("a run carried further, $objective", ({ objective, config }) => {
  const folder = temporaryFolder();
  const init = { model: "{init: config.json}", objective };
  const trunk = { ...init, out: "trunk", steps: "20", schedule: "{warmup: 4, decay: constant}" };
  const end = { objective, steps: "19", schedule: "{warmup: 4, decay: sqrt, cooldown: 8}" };
  const run = async (name: string, lines: Readonly<Record<string, string>>, stopAt?: number) => {
    const path = join(folder, `${name}.yaml`);
    writeFileSync(path, yaml({ out: name, ...lines }));
    const notes: string[] = [];
    let step = 0;
    await pretrain(await loadRun(path), {
      note: (text) => notes.push(text),
      progress: (at) => {
        step = at.step;
      },
      stopped: () => (step === stopAt ? "SIGINT" : undefined),
    });
    return { out: join(folder, name), notes };
  };
  const refusal = async (name: string, lines: Readonly<Record<string, string>>) => {
    const thrown = await run(name, lines).catch((error: unknown) => error);
    if (!(thrown instanceof UserError)) throw new Error(`${name} was accepted`);
    expect(existsSync(join(folder, name))).toBe(false);
    return thrown.message.replaceAll(folder, "");
  };
  let whole: ReturnType<typeof results>;

  beforeAll(async () => {
    await writeRun(folder, config, "");
    await run("trunk", trunk);
    whole = results((await run("whole", { ...init, ...end })).out, 19);
  });

  it("keeps the checkpoints it was told to, and the newest", () => {
    const there = readdirSync(join(folder, "trunk", "checkpoints")).sort();
    expect(there).toEqual(["step-14", "step-20", "step-5", "step-6", "step-9"]);
  });

  it.each([
    [5, "before a growth"],
    [6, "where a growth is due"],
    [9, "in a stage that draws sub-models"],
    [14, "in the decay"],
  ])("from step %i, %s, it ends with the bytes of a run that had its schedule from the start", async (step) => {
    // At 14 the trunk's rate would have begun to fall: three of the steps differ there, and so must the end.
    const { out, notes } = await run(`branch-${step}`, { model: `{from: trunk, step: ${step}}`, ...end });
    if (step <= 11) expect(results(out, 19)).toEqual(whole);
    else expect(results(out, 19).weights).not.toBe(whole.weights);
    expect(notes.join("\n")).toContain(`trunk is carried further: step ${step + 1} of 19 has the rate`);
  });

  it("stopped, and with its trunk gone, it ends with the same bytes", async () => {
    cpSync(join(folder, "trunk"), join(folder, "passing"), { recursive: true });
    const lines = { model: "{from: passing, step: 9}", ...end };
    await expect(run("stopped", lines, 13)).rejects.toThrow(Interrupted);
    rmSync(join(folder, "passing"), { recursive: true });
    const { out, notes } = await run("stopped", lines);
    expect(notes.join("\n")).toContain("carrying on after step 13 of 19");
    expect(results(out, 19)).toEqual(whole);
  });

  it.runIf(objective === "mlm")("needs no word of what is done: a plan for what is to come will do", async () => {
    const plan = "[{steps: 12, models: [{layers: 3, train: 2}, {layers: 6, train: 3}]}, {name: whole}]";
    const { out } = await run("rest", { model: "{from: trunk, step: 9}", ...end, plan });
    expect(results(out, 19).weights).toBe(whole.weights);
    expect(results(out, 19).moments).toBe(whole.moments);
  });

  it.runIf(objective === "mlm")("says what does not fit, and where", async () => {
    const model = "{from: trunk, step: 9}";
    const other = { model, ...end };
    expect(await refusal("seed", { ...other, seed: "3" })).toMatch(
      /^\/seed.yaml:\d+: `seed` is 3, and was 1 in the run it carries further/,
    );
    expect(await refusal("batch", { ...other, batch: "{sequences: 8}" })).toContain(
      "`batch.sequences` is 8, and was 4",
    );
    expect(
      await refusal("short", { ...other, checkpoint: "{}", steps: "9", plan: "[{steps: 6}, {grow: {layers: 6}}]" }),
    ).toMatch(
      /the run has 9 steps, and is to go on after 9 of them\nhint: give more: `steps` counts from the first step/,
    );
    expect(await refusal("missing", { ...other, model: "{from: trunk, step: 7}" })).toContain(
      "there is no checkpoint of step 7\nhint: take one of 5, 6, 9, 14, 20; `checkpoint: { at: [7] }` makes a run keep it",
    );
    expect(await refusal("plan", { ...other, plan: "[{steps: 6}, {grow: {layers: 8}}]" })).toContain(
      "by the plan layers is 8 after 9 steps, in the checkpoint it is 6",
    );
    expect(await refusal("none", { ...other, model: "{from: data, step: 7}" })).toContain("data is no run");
    expect(await refusal("drawn", { ...other, model: "{init: config.json, step: 7}" })).toContain(
      "`model.step` is a step of the run that `model.from` names",
    );
    expect(await refusal("late", { ...other, checkpoint: "{at: [40]}" })).toContain(
      "`checkpoint.at` names step 40, and the run has 19",
    );
  });

  it.runIf(objective === "mlm")(
    "a finished run's refusal writes the lines that carry it further, and they do",
    async () => {
      const path = join(folder, "trunk.yaml");
      const refused = cli(["pretrain", path, "--set", "steps=26"]);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain("--set steps: ");
      expect(refused.stderr).toContain("holds another run: `steps` was 20 and is now 26");
      const lines = [...refused.stderr.matchAll(/`((?:out|model|steps|schedule): [^`]*)`/g)].map(([, line]) => line);
      expect(lines).toHaveLength(4);
      const kept = readFileSync(path, "utf8").replace(/^(out|model|steps|schedule):.*\n/gm, "");
      writeFileSync(join(folder, "further.yaml"), `${lines.join("\n")}\n${kept}`);
      const done = cli(["pretrain", join(folder, "further.yaml")]);
      expect(done.stderr).toContain("step 21 of 26");
      expect(done.code).toBe(0);
      expect(results(join(folder, "trunk-further"), 26).metrics.at(-1)).toMatchObject({
        step: 26,
        tokens: 26 * 8 * 16,
      });
    },
  );

  it.runIf(objective === "mlm")(
    "a run, named as a model, is its model, and the batches begin anew: both said",
    async () => {
      const { notes } = await run("anew", {
        ...init,
        model: "{from: trunk}",
        steps: "2",
        plan: "full",
        checkpoint: "{}",
      });
      expect(notes.join("\n")).toContain("trunk is a run: its model is read");
      expect(notes.join("\n")).toContain("the batches are drawn from the first one on");
      for (const words of [["inspect"], ["evaluate", "--data", join(folder, "data"), "--engine", "onnx"]]) {
        const [command, ...rest] = words;
        const got = cli([command, join(folder, "trunk"), ...rest]);
        expect(got.code, got.stderr).toBe(0);
        expect(got.stderr).toContain("trunk is a run: its model is read");
        expect(got.stdout).toBe(cli([command, join(folder, "trunk", "model"), ...rest]).stdout);
      }
      mkdirSync(join(folder, "unfinished"));
      cpSync(join(folder, "trunk", "checkpoints"), join(folder, "unfinished", "checkpoints"), { recursive: true });
      expect(cli(["inspect", join(folder, "unfinished")]).stderr).toContain("its checkpoints/step-20 is read");
    },
  );

  it.runIf(objective === "mlm")("what is not computed may change, and a path; what it began with may not", async () => {
    cpSync(join(folder, "trunk", "model"), join(folder, "source"), { recursive: true });
    const lines = { ...init, model: "{from: source}", plan: "full", steps: "12", checkpoint: "{every: 4}" };
    const first = await run("unmoved", lines);
    await expect(run("moved", lines, 5)).rejects.toThrow(Interrupted);
    cpSync(join(folder, "source"), join(folder, "elsewhere", "source"), { recursive: true });
    cpSync(join(folder, "data"), join(folder, "elsewhere", "data"), { recursive: true });
    rmSync(join(folder, "source"), { recursive: true });
    const changed = {
      ...lines,
      model: "{from: elsewhere/source}",
      data: "{from: elsewhere/data}",
      ...{ log: "{every: 1}", evaluate: "{every: 2, sequences: 8}", checkpoint: "{every: 3, keep: 2}" },
    };
    const path = join(folder, "moved.yaml");
    const refused = async (key: string, value: string) => {
      writeFileSync(path, yaml({ out: "moved", ...changed, [key]: value }));
      const line =
        readFileSync(path, "utf8")
          .split("\n")
          .findIndex((text) => text.startsWith(`${key}:`)) + 1;
      const thrown = await loadRun(path)
        .then(pretrain)
        .catch((error: unknown) => error);
      if (!(thrown instanceof UserError)) throw new Error(`${key} was accepted`);
      expect(thrown.where).toBe(`${path}:${line}`);
      return thrown.what;
    };
    expect(await refused("optimizer", "{lr: 5e-3, eps: 1e-5}")).toContain("`optimizer.eps` was 0.000001 and is now");
    expect(await refused("optimizer", "{lr: 5e-3, moments: keep}")).toContain("`optimizer.moments` was ");
    expect(await refused("steps", "13")).toContain("`steps` was 12 and is now 13");
    expect(await refused("model", "{from: trunk/checkpoints/step-14}")).toContain(
      "which did not begin with this model",
    );
    const { out } = await run("moved", changed);
    expect(results(out, 12).weights).toBe(results(first.out, 12).weights);
    expect(results(out, 12).moments).toBe(results(first.out, 12).moments);
  });
});
