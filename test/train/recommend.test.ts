/** The recipe that `pretrain --recommend` prints: a file that runs as it is, for a model as it comes and a grown one. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { architectures, unmeasured } from "../../src/model/architectures.ts";
import { loadRun } from "../../src/train/run/settings.ts";
import { cli, temporaryFolder } from "../support.ts";
import { bertConfig, gpt2Config, writeData } from "./data.ts";

/** A folder with a model, the same one grown, and data for both. */
async function folderFor(config: object): Promise<string> {
  const folder = join(temporaryFolder(), "a place");
  mkdirSync(join(folder, "data"), { recursive: true });
  await writeData(join(folder, "data"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  expect(cli(["init", "config.json", "model"], { cwd: folder }).code).toBe(0);
  const words = ["grow", "model", "grown", "--hidden", "32", "--method", "quiet"];
  expect(cli(words, { cwd: folder })).toMatchObject({ code: 0 });
  return folder;
}

it.each([
  { config: { ...gpt2Config, n_embd: 16, n_head: 2 }, objective: "clm", lr: 1e-2, betas: [0.9, 0.95] },
  {
    config: { ...bertConfig, hidden_size: 16, num_attention_heads: 2 },
    objective: "mlm",
    lr: 6e-3,
    betas: [0.9, 0.98],
  },
])("a run for $objective", async ({ config, objective, lr, betas }) => {
  const folder = await folderFor(config);
  const recommend = (model: string) => cli(["pretrain", "--recommend", model, "--data", "data"], { cwd: folder });
  expect(recommend("model").stdout).toContain("decay: linear");
  const { stdout, code } = recommend("grown/");
  expect(code).toBe(0);
  expect(stdout.split("\n")[0]).toMatch(/^# .*: growing \(.*\) saves about .* cells? measured, the nearest/);
  const path = join(folder, "run.yaml");
  writeFileSync(path, stdout);
  const plan = cli(["plan", path, "--speed", "1"]);
  expect(plan.stdout, plan.stderr).toMatch(/^advice {2}.*the source being free/m);
  const { settings } = await loadRun(path);
  expect(settings).toMatchObject({ objective, out: join(folder, "grown-run"), model: { from: join(folder, "grown") } });
  expect(stdout.includes("plan: { two-stage")).toBe(objective === "mlm");
  expect(settings.schedule).toEqual({ warmup: 0.05, decay: "linear", cooldown: 0.2 });
  expect(settings.optimizer).toMatchObject({ lr, betas });
  // 6,000 tokens, 16 a sequence: two steps of 256 sequences are once over the data.
  expect(settings.length).toEqual({ steps: 2 });
  const ran = cli(["pretrain", "run.yaml", "--set", "engine.kind=onnx"], { cwd: folder });
  expect(ran).toMatchObject({ code: 0 });
  expect(readFileSync(join(folder, "grown-run", "model", "config.json"), "utf8")).toContain(config.model_type);
});

it("says first that nothing was measured for another kind than BERT and GPT-2", async () => {
  expect(architectures.filter((known) => unmeasured(known) === undefined).map(({ type }) => type)).toEqual([
    "bert",
    "gpt2",
  ]);
  const { vocab_size } = gpt2Config;
  const sizes = { hidden_size: 16, intermediate_size: 24, num_attention_heads: 2, num_hidden_layers: 2 };
  const folder = await folderFor({ ...sizes, model_type: "llama", vocab_size, max_position_embeddings: 16 });
  const { stdout, code, stderr } = cli(["pretrain", "--recommend", "grown", "--data", "data"], { cwd: folder });
  expect(code, stderr).toBe(0);
  expect(stdout.split("\n")[0]).toBe(
    "# nothing has been measured for a llama yet: rates, schedule and methods are what served bert and gpt2 (docs/results/)",
  );
  writeFileSync(join(folder, "run.yaml"), stdout);
  expect(cli(["plan", "run.yaml"], { cwd: folder })).toMatchObject({ code: 0 });
  for (const command of ["study", "quickstart"]) {
    expect(cli([command, "--help"]).stdout).toMatch(/no other architecture|other architectures nothing/);
  }
});

it("a run for a model without a language-model head draws one", async () => {
  const folder = await folderFor({ ...bertConfig, architectures: ["BertModel"] });
  const { stdout, code, stderr } = cli(["pretrain", "--recommend", "model", "--data", "data"], { cwd: folder });
  expect(code, stderr).toBe(0);
  writeFileSync(join(folder, "run.yaml"), stdout);
  const { settings } = await loadRun(join(folder, "run.yaml"));
  expect(settings).toMatchObject({ objective: "mlm", model: { from: join(folder, "model"), "add-head": true } });
  const ran = cli(["pretrain", "run.yaml", "--set", "engine.kind=onnx"], { cwd: folder });
  expect(ran).toMatchObject({ code: 0 });
  expect(readFileSync(join(folder, "model-run", "model", "config.json"), "utf8")).toContain("BertForMaskedLM");
});
