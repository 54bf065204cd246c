import { readFileSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { optimizerFile, optimizerTensors } from "../../src/checkpoint/optimizer.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";

describe("inspect", () => {
  it.each([
    ["bert-tiny", "BertForPreTraining", { lm: true, pooler: true, nsp: true }],
    ["roberta-tiny", "RobertaForMaskedLM", { lm: true, pooler: false, nsp: false }],
    ["gpt2-tiny", "GPT2LMHeadModel", { lm: true, pooler: false, nsp: false }],
  ])("%s: class, heads, and parts that add up", (name, kind, heads) => {
    const { code, stdout, stderr } = cli(["inspect", fixture(name), "--json"]);
    expect([code, stderr]).toEqual([0, ""]);
    const found = JSON.parse(stdout);
    expect([found.class, found.heads]).toEqual([kind, heads]);
    const sum = (key: string) => found.parts.reduce((all: number, part: Record<string, number>) => all + part[key], 0);
    expect(sum("parameters")).toBe(found.parameters);
    expect(found.dtypes).toEqual({ F32: found.parameters });
    // The file is its parameters and a header.
    expect(found.files[0].bytes - sum("bytes")).toBeLessThan(10_000);
    expect(found.files[0].bytes - sum("bytes")).toBeGreaterThan(0);
    expect([found.growth, found.optimizer, found.trainer, found.tokenizer]).toEqual([null, null, null, []]);
  });

  it("says what lies beside the weights, for a person as well", async () => {
    const folder = join(temporaryFolder(), "ein Modell");
    await cp(fixture("gpt2-tiny"), folder, { recursive: true });
    writeFileSync(join(folder, "vocab.json"), "{}");
    writeFileSync(
      join(folder, "growth.json"),
      JSON.stringify({
        method: { name: "aki" },
        depth: { rule: "stack" },
        map: "cyclic",
        source: { dimensions: { layers: 3, hidden: 32 } },
      }),
    );
    const state = { name: "transformer.wte.weight", shape: [2], moment: async () => new Float32Array(2) };
    const tensors = optimizerTensors([{ ...state, steps: async () => 1 }]);
    await writeWeights(folder, tensors, { fileName: optimizerFile });
    const { code, stdout } = cli(["inspect", folder]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^GPT2LMHeadModel {2}\d+k parameters, F32\n/);
    expect(stdout).toMatch(/grown {10}aki from 3 layers, 32 wide \(depth stack, map cyclic\)\n/);
    expect(stdout).toMatch(/optimizer {6}moments of 1 tensors/);
    expect(stdout).toMatch(/tokenizer {6}vocab.json\n/);
    expect(stdout).not.toContain("\u001b");
  });

  it("says which blocks only transformers 5 reads as they are", async () => {
    const folder = join(temporaryFolder(), "modern");
    await cp(fixture("modernbert-tiny"), folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    const notes = () => JSON.parse(cli(["inspect", folder, "--json"]).stdout).notes.join(" ");
    expect(notes()).not.toContain("layer_types");
    const layer_types = ["full_attention", "sliding_attention", "full_attention", "full_attention"];
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, layer_types }));
    expect(notes()).toMatch(/only `layer_types` in config.json says: .*transformers 4 would run other blocks/);
  });

  it("refuses what is no model, on one line with a hint", () => {
    const folder = temporaryFolder();
    expect(cli(["inspect", folder])).toEqual({
      code: 2,
      stdout: "",
      stderr: `error: ${folder}: there is no config.json\nhint: name a model folder as transformers saves it\n`,
    });
    expect(cli(["inspect"]).stderr).toMatch(/^error: bert2bert inspect: missing required argument `folder`\nhint: /);
    expect(cli(["inspekt", folder]).stderr).toMatch(/did you mean `inspect`\?/);
    expect(cli(["inspect", folder, "--jsn"]).stderr).toMatch(/did you mean `--json`\?/);
    expect(cli(["inspect", folder], { env: { DEBUG: "bert2bert" } }).stderr).toMatch(/ {4}at .*\nerror: /s);
  });
});
