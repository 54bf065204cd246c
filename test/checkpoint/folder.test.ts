import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { writeModelCard } from "../../src/checkpoint/card.ts";
import { copyGenerationConfig, copyTokenizerFiles, readConfig, writeConfig } from "../../src/checkpoint/folder.ts";
import { openOptimizer, optimizerFile, optimizerTensors } from "../../src/checkpoint/optimizer.ts";
import { type TensorSource, writeWeights } from "../../src/checkpoint/write.ts";
import { UserError } from "../../src/util/errors.ts";
import { fixture, temporaryFolder } from "../support.ts";

describe("a model folder", () => {
  it("without a config, or with a broken one, is refused", async () => {
    const folder = temporaryFolder();
    await expect(readConfig(folder)).rejects.toThrow(/there is no config.json/);
    await expect(readConfig(join(folder, "none"))).rejects.toThrow(/no such folder/);
    for (const text of ["", "[]", "{", "\u0000", '{"a": NaN}']) {
      writeFileSync(join(folder, "config.json"), text);
      await expect(readConfig(folder), text).rejects.toThrow(UserError);
    }
    writeFileSync(join(folder, "config.json"), new Uint8Array([0x7b, 0xff, 0x7d]));
    await expect(readConfig(folder)).rejects.toThrow(/not UTF-8/);
    writeFileSync(join(folder, "config.json"), new Uint8Array(2 ** 26 + 1));
    await expect(readConfig(folder)).rejects.toThrow(/more than/);
  });

  it.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])(
    "%s: its config is written as transformers writes it",
    async (name) => {
      const folder = temporaryFolder();
      await writeConfig(folder, await readConfig(fixture(name)));
      const { 0: ours, 1: theirs } = [folder, fixture(name)].map((f) => readFileSync(join(f, "config.json"), "utf8"));
      // A rate or eps that Python writes as 0.0 or 1e-05 is the same number in other digits.
      const normal = (text: string) => text.replace(/\b0\.0\b/g, "0").replace(/1e-05/g, "0.00001");
      expect(normal(ours)).toBe(normal(theirs));
    },
  );

  it("gets the tokenizer's files and the generation config that are there, and nothing else", async () => {
    const [from, to] = [temporaryFolder(), temporaryFolder()];
    for (const name of ["vocab.txt", "tokenizer.json", "generation_config.json", "model.safetensors", "evil.py"]) {
      writeFileSync(join(from, name), name);
    }
    mkdirSync(join(from, "merges.txt"));
    expect(await copyTokenizerFiles(from, to)).toEqual(["tokenizer.json", "vocab.txt"]);
    expect(await copyGenerationConfig(from, to)).toBe(true);
    expect(readdirSync(to).sort()).toEqual(["generation_config.json", "tokenizer.json", "vocab.txt"]);
    expect(await copyGenerationConfig(to, temporaryFolder())).toBe(true);
    expect(await copyGenerationConfig(fixture("bert-tiny"), to)).toBe(false);
  });

  it("gets a card with front matter that YAML reads", async () => {
    const folder = temporaryFolder();
    await writeModelCard(folder, {
      title: "A: model",
      tags: ["bert", "no", "x: y"],
      pipeline: "fill-mask",
      text: ["Grown by FPI.", "It is: new."],
      facts: [["layers", "12 | 3"]],
    });
    const card = readFileSync(join(folder, "README.md"), "utf8");
    const [, front, body] = /^---\n(.*?)\n---\n(.*)$/s.exec(card) ?? [];
    expect(parse(front)).toEqual({
      library_name: "transformers",
      pipeline_tag: "fill-mask",
      tags: ["bert2bert", "bert", "no", "x: y"],
    });
    expect(body).toBe("\n# A: model\n\nGrown by FPI.\n\nIt is: new.\n\n| | |\n|---|---|\n| layers | 12 \\| 3 |\n");
  });
});

describe("the optimizer's state", () => {
  const state = optimizerTensors([
    {
      name: "a.weight",
      shape: [2, 3],
      moment: async (m) => new Float32Array(6).fill(m === "m" ? 1 : 2),
      steps: async () => 7,
    },
    { name: "b/c", shape: [1], moment: async () => new Float32Array(1), steps: async () => 0 },
  ]);

  async function written(tensors: readonly TensorSource[]): Promise<string> {
    const folder = temporaryFolder();
    await writeWeights(folder, tensors, { fileName: optimizerFile });
    return folder;
  }

  it("is read as it was written", async () => {
    const optimizer = await openOptimizer(await written(state));
    expect([...(optimizer?.shapes ?? [])].sort()).toEqual([
      ["a.weight", [2, 3]],
      ["b/c", [1]],
    ]);
    expect(await optimizer?.read("m", "a.weight")).toEqual(new Float32Array(6).fill(1));
    expect(await optimizer?.read("v", "a.weight", 4)).toEqual(new Float32Array(2).fill(2));
    expect(await optimizer?.steps("a.weight")).toBe(7);
    await optimizer?.close();
    expect(await openOptimizer(temporaryFolder())).toBeUndefined();
  });

  it.each<[string, (all: TensorSource[]) => TensorSource[]]>([
    ["m/ missing", (all) => all.filter((t) => t.name !== "m/a.weight")],
    ["v/ missing", (all) => all.filter((t) => t.name !== "v/a.weight")],
    ["steps/ missing", (all) => all.filter((t) => t.name !== "steps/b/c")],
    ["another shape", (all) => all.map((t) => (t.name === "v/a.weight" ? { ...t, shape: [3, 2] } : t))],
    ["steps no scalar", (all) => all.map((t) => (t.name === "steps/b/c" ? { ...t, shape: [1] } : t))],
    ["another format", (all) => all.map((t) => (t.name === "m/b/c" ? { ...t, dtype: "F16" } : t))],
    ["something else", (all) => [...all, { ...all[0], name: "momentum" }]],
  ])("is refused with %s", async (_, damage) => {
    await expect(openOptimizer(await written(damage([...state])))).rejects.toThrow(UserError);
  });
});
