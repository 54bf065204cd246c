import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { differences, loadRun, spelledOut } from "../../../src/train/run/settings.ts";
import { UserError } from "../../../src/util/errors.ts";
import { temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();
const good = "out: runs/one\nmodel: {from: grown}\ndata: {from: data}\nobjective: mlm\nsteps: 1000\n";

function write(text: string): string {
  const path = join(folder, "run.yaml");
  writeFileSync(path, text);
  return path;
}

async function refusal(text: string, sets: readonly string[] = []): Promise<string> {
  try {
    await loadRun(write(text), sets);
  } catch (error) {
    if (error instanceof UserError) return error.message.replaceAll(folder, "");
    throw error;
  }
  throw new Error("it was accepted");
}

describe("RUN.yaml", () => {
  it("gets every default, and paths relative to the file", async () => {
    const { settings } = await loadRun(write(good));
    expect(settings).toMatchObject({
      out: join(folder, "runs/one"),
      seed: 1,
      model: { from: join(folder, "grown") },
      batch: { sequences: 16, accumulate: 1, masked: 0.15 },
      optimizer: { lr: 1e-4, weight_decay: 0.01, betas: [0.9, 0.999], eps: 1e-6, clip: 1, dropout: "config" },
      schedule: { warmup: 0.05, decay: "linear" },
      length: { steps: 1000 },
      plan: { kind: "named", name: "full" },
      evaluate: { every: 100 },
      checkpoint: { every: 100, keep: 3 },
    });
    expect(settings.engine.threads).toBeGreaterThan(0);
  });

  it("spelled out into its folder starts the same run again", async () => {
    const plans = ["full", "{two-stage: {block: 2}}", "[{share: 0.5, models: [{layers: 2, train: 1}]}, {name: end}]"];
    for (const plan of plans) {
      const { settings } = await loadRun(write(`${good}plan: ${plan}\ntokens: 4M\n`.replace("steps: 1000\n", "")));
      mkdirSync(settings.out, { recursive: true });
      writeFileSync(join(settings.out, "run.yaml"), stringify(spelledOut(settings)));
      const again = await loadRun(join(settings.out, "run.yaml"));
      expect(again.settings).toEqual(settings);
      expect(settings.length).toEqual({ tokens: 4_000_000 });
      expect(differences(spelledOut(settings), spelledOut(again.settings))).toEqual([]);
    }
  });

  it("takes --set on top, also where a plan's name stood", async () => {
    const { settings } = await loadRun(write(`${good}plan: full\n`), [
      "optimizer.lr=2e-3",
      "plan.two-stage.block=2",
      "out=../x",
    ]);
    expect(settings.optimizer.lr).toBe(2e-3);
    expect(settings.plan).toEqual({ kind: "named", name: "two-stage", options: { block: 2, share: 0.125 } });
    expect(settings.out).toBe(join(folder, "../x"));
  });

  const bad: readonly (readonly [string, string, string])[] = [
    [
      "an unknown key",
      `${good}optimiser: {lr: 1}\n`,
      "/run.yaml:6: `optimiser` is not a key\nhint: did you mean `optimizer`?",
    ],
    [
      "one further in",
      `${good}batch:\n  sequnces: 4\n`,
      "/run.yaml:7: `batch.sequnces` is not a key\nhint: did you mean `sequences`?",
    ],
    [
      "a wrong type",
      `${good}batch:\n  sequences: many\n`,
      '/run.yaml:7: `batch.sequences` is "many", not a number\nhint: give a number',
    ],
    [
      "a missing key",
      good.replace("objective: mlm\n", ""),
      "/run.yaml: `objective` is missing\nhint: give one of mlm, mlm+nsp, clm",
    ],
    [
      "a wrong choice",
      good.replace("mlm", "mlmm"),
      '/run.yaml:4: `objective` can\'t be "mlmm"\nhint: did you mean `mlm`?',
    ],
    ["a wrong unit", good.replace("1000", "4X"), '/run.yaml:5: "4X" is not a whole number above 0'],
    ["a range", `${good}seed: -1\n`, "/run.yaml:6: `seed` is -1\nhint: give at least 0"],
    ["two lengths", `${good}epochs: 2\n`, "/run.yaml:6: the run's length is given more than once"],
    ["no length", good.replace("steps: 1000\n", ""), "/run.yaml: how long the run is, is missing"],
    [
      "two models",
      good.replace("{from: grown}", "{from: a, init: b}"),
      "/run.yaml:2: `model` needs either `from` or `init`",
    ],
    [
      "an unknown plan",
      `${good}plan: twostage\n`,
      "/run.yaml:6: there is no plan `twostage`\nhint: did you mean `two-stage`?",
    ],
    [
      "a plan's unknown option",
      `${good}plan:\n  two-stage:\n    blok: 2\n`,
      "/run.yaml:8: `plan.two-stage.blok` is not a key\nhint: did you mean `block`?",
    ],
    [
      "a plan's wrong option",
      `${good}plan:\n  two-stage:\n    block: x\n`,
      '/run.yaml:8: `plan.two-stage.block` is "x", not a number',
    ],
    [
      "a stage's unknown key",
      `${good}plan:\n  - share: 0.5\n  - modles: []\n`,
      "/run.yaml:8: `plan.1.modles` is not a key\nhint: did you mean `models`?",
    ],
    [
      "a warm-up with a fraction",
      `${good}schedule: {warmup: 1.5}\n`,
      "/run.yaml:6: a warm-up of 1 or more is a number of steps",
    ],
    ...["0.9", "[0.9]", "[0.9, 0.95, 0.98]"].map(
      (betas) =>
        [
          `betas ${betas}`,
          `${good}optimizer: {betas: ${betas}}\n`,
          `/run.yaml:6: \`optimizer.betas\` is ${JSON.stringify(JSON.parse(betas))}`,
        ] as const,
    ),
    [
      "one beta",
      `${good}optimizer: {betas: 0.98}\n`,
      "`optimizer.betas` is 0.98, not a list\nhint: write `[0.9, 0.98]`",
    ],
    [
      "a cooldown of its own under the run's decay",
      `${good}plan: [{schedule: {warmup: 5, cooldown: 5}}]\n`,
      "/run.yaml:6: a stage that goes on with the run's decay has no cooldown of its own",
    ],
    [
      "moments that are not there",
      `${good}optimizer: {moments: keep}\n`,
      "/run.yaml:6: there are no moments to keep in /grown",
    ],
    ["broken YAML", "out: [\n", "/run.yaml:2: is not YAML"],
    ["no map", "- a\n", "/run.yaml: holds no keys"],
  ];
  it.each(bad)("refuses %s with the place and the way out", async (_, text, message) => {
    expect(await refusal(text)).toContain(message);
  });

  it("names the --set that is wrong", async () => {
    expect(await refusal(good, ["optimizer.lr=fast"])).toContain(
      '--set optimizer.lr: `optimizer.lr` is "fast", not a number',
    );
    expect(await refusal(good, ["optimizer.rate=1"])).toContain("--set optimizer.rate: `optimizer.rate` is not a key");
    expect(await refusal(good, ["nothing"])).toContain("--set nothing: is not `key.path=value`");
  });
});
