import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openOptimizer } from "../../src/checkpoint/optimizer.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { readMetrics } from "../../src/train/run/metrics.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { UserError } from "../../src/util/errors.ts";
import { cli, temporaryFolder } from "../support.ts";
import { bertConfig, gpt2Config, writeData, writeRun } from "./data.ts";

const yaml = (more = "") => `
out: out
model: {init: config.json}
data: {from: data}
objective: mlm
batch: {sequences: 8}
optimizer: {lr: 1e-2, dropout: 0}
steps: 12
evaluate: {every: 6}
checkpoint: {every: 6}
log: {every: 3}
engine: {kind: onnx, threads: 1}
${more}`;

async function refusal(folder: string, path: string, sets: readonly string[] = []): Promise<string> {
  const before = readdirSync(folder).sort();
  try {
    await pretrain(await loadRun(path, sets));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect(readdirSync(folder).sort()).toEqual(before);
    return error.message;
  }
  throw new Error("it was accepted");
}

describe("pretrain", () => {
  it("learns, and leaves a run folder and a model folder", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, gpt2Config, yaml().replace("mlm", "clm").replace("steps: 12", "steps: 150"));
    const result = await pretrain(await loadRun(path));
    const lines = await readMetrics(join(folder, "out", "metrics.jsonl"));
    const evaluations = lines.flatMap((line) => ("evaluation" in line ? [line.evaluation] : []));
    expect(evaluations[0].loss).toBeCloseTo(Math.log(40), 1);
    expect(result.evaluation?.loss).toBeLessThan(evaluations[0].loss - 1);
    expect(result.evaluation?.perplexity).toBeCloseTo(Math.exp(result.evaluation?.loss ?? 0), 9);
    expect(readdirSync(join(folder, "out")).sort()).toEqual([
      "checkpoints",
      "events.out.tfevents.0.bert2bert",
      "metrics.jsonl",
      "model",
      "report.html",
      "run.yaml",
    ]);
    expect(readdirSync(join(folder, "out", "checkpoints")).sort()).toEqual(["step-138", "step-144", "step-150"]);
    const page = readFileSync(join(folder, "out", "report.html"), "utf8");
    for (const [fact, value] of [
      ["Model", /gpt2, \d+ layers, \d+ wide/],
      ["Parameters", /[\d,]+/],
      ["Data", /[\d,]+ tokens to train on/],
      ["Objective", /clm, 8 sequences of 16 tokens a step/],
      ["Learning rate", /at its peak/],
      ["Time spent training", /\d/],
      ["Tokens a second", /\d/],
      ["Engine", /onnx/i],
    ] as const) {
      expect(page).toMatch(new RegExp(`<dt>${fact}</dt><dd>[^<]*${value.source}`, value.flags));
    }
    const evaluated = cli(["evaluate", result.model, "--data", join(folder, "data"), "--json", "--engine", "onnx"]);
    expect(JSON.parse(evaluated.stdout).loss).toBeCloseTo(result.evaluation?.loss ?? 0, 5);
    const first = lines.find((line) => "rate" in line);
    expect(first).toMatchObject({ step: 3, stage: "full", tokens: 3 * 8 * 16 });
  });

  it("counts steps for each parameter, and goes on with the moments beside a model where asked", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, bertConfig, yaml("plan: {two-stage: {block: 2, share: 0.5}}"));
    await pretrain(await loadRun(path));
    const checkpoint = join(folder, "out", "checkpoints", "step-12");
    const state = await openOptimizer(checkpoint);
    const lines = await readMetrics(join(folder, "out", "metrics.jsonl"));
    const top = await state?.steps("bert.encoder.layer.3.output.dense.weight");
    const bottom = await state?.steps("bert.encoder.layer.0.output.dense.weight");
    // In the first six steps either the bottom two or the top two blocks train; the head always.
    expect((top ?? 0) + (bottom ?? 0)).toBe(6 + 2 * 6);
    expect(await state?.steps("bert.embeddings.position_embeddings.weight")).toBe(bottom);
    expect(await state?.steps("bert.embeddings.word_embeddings.weight")).toBe(12);
    expect(await state?.steps("cls.predictions.bias")).toBe(12);
    await state?.close();
    expect(lines.some((line) => line.stage === "sub-models")).toBe(true);

    const next = join(folder, "next.yaml");
    writeFileSync(
      next,
      yaml().replace("{init: config.json}", "{from: out/checkpoints/step-12}").replace("out: out", "out: next"),
    );
    for (const [moments, steps] of [
      ["auto", 24],
      ["fresh", 12],
    ] as const) {
      await pretrain(await loadRun(next, [`optimizer.moments=${moments}`, `out=${moments}`]));
      const after = await openOptimizer(join(folder, moments, "checkpoints", "step-12"));
      expect(await after?.steps("cls.predictions.bias")).toBe(steps);
      await after?.close();
    }
    expect(readFileSync(join(folder, "auto", "run.yaml"), "utf8")).toContain("moments: keep");
  });

  it("starts every stage's optimizer anew where the stage says so", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(
      folder,
      bertConfig,
      yaml("plan: [{steps: 5}, {optimizer: reset, schedule: {warmup: 2}}]"),
    );
    await pretrain(await loadRun(path));
    const state = await openOptimizer(join(folder, "out", "checkpoints", "step-12"));
    expect(await state?.steps("cls.predictions.bias")).toBe(7);
    await state?.close();
    const lines = await readMetrics(join(folder, "out", "metrics.jsonl"));
    expect(lines.map((line) => line.stage)).toContain("stage-2");
  });

  it("refuses, before anything is written, what does not belong together", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, bertConfig, yaml());
    expect(await refusal(folder, path, ["objective=clm"])).toContain("the model has no head for objective clm");
    expect(await refusal(folder, path, ["objective=mlm+nsp"])).toContain("its training part holds a single document");
    expect(await refusal(folder, path, ["data.from=nowhere"])).toContain("no such folder");
    expect(await refusal(folder, path, ["model.init=nothing.json"])).toContain("nothing.json");
    expect(await refusal(folder, path, ["plan.two-stage.block=0"])).toContain("`plan.two-stage.block` is 0");
    expect(await refusal(folder, path, ["plan=[{steps: 3}]"])).toContain("the stages take 3 of the run's 12 steps");
    expect(await refusal(folder, path, ["plan=[{models: [{layers: 9, train: 1}]}]"])).toContain("runs 9 blocks");
    expect(await refusal(folder, path, ["engine.kind=onix"])).toContain("did you mean `onnx`?");
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...bertConfig, max_position_embeddings: 8 }));
    expect(await refusal(folder, path)).toContain("the data's sequences are 16 tokens long, the model takes 8");
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...bertConfig, vocab_size: 30 }));
    expect(await refusal(folder, path)).toContain(
      "the data's tokenizer has 40 tokens, the model's vocabulary 30, and the data holds or needs token 39",
    );
  });

  it("is refused while another process holds the folder", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, bertConfig, yaml());
    const run = await loadRun(path);
    let second: string | undefined;
    await pretrain(run, {
      progress: () => {
        second ??= cli(["pretrain", path]).stderr;
      },
    });
    expect(second).toContain(`the run is held by process ${process.pid}`);
  });

  it("takes its length in tokens or epochs", async () => {
    const folder = temporaryFolder();
    const path = await writeRun(folder, bertConfig, yaml().replace("steps: 12", "tokens: 1k"));
    const planned = cli(["plan", path, "--json"]);
    expect(JSON.parse(planned.stdout)).toMatchObject({ steps: 8, tokens: 1024, architecture: "bert" });
    await writeData(join(folder, "data"), 16, 1400);
    mkdirSync(join(folder, "x"));
    const epochs = await writeRun(join(folder, "x"), bertConfig, yaml().replace("steps: 12", "epochs: 0.5"));
    // 6000 tokens in bodies of 14 are 428 sequences, 53.5 steps of 8.
    expect(JSON.parse(cli(["plan", epochs, "--json"]).stdout).steps).toBe(27);
    expect(readdirSync(join(folder, "x")).sort()).toEqual(["config.json", "data", "run.yaml"]);
  });
});
