/**
 * Against transformers: an encoder without a language-model head becomes one that `pipeline("fill-mask")` runs; names
 * that PyTorch's wrappers change; every name of an activation.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { applyGrowth } from "../../src/growth/apply.ts";
import { planGrowth, resizedModel } from "../../src/growth/plan.ts";
import { ConfigReader } from "../../src/model/config.ts";
import { outputsWithLanguageModel } from "../../src/model/head.ts";
import { openModel } from "../../src/model/load.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "safetensors"]);
const script = readFileSync(join(packageRoot(), "test", "peers", "heads.py"), "utf8");
const root = temporaryFolder();
/** Documents of one word each: what is masked stands all around, which a model learns in a few steps. */
const words = ["miller", "kettle", "dog", "cat", "old", "red"];

interface Opened {
  readonly kind: string;
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
}

function succeed(words: readonly string[]): string {
  const { code, stdout, stderr } = cli(words);
  expect(code, stderr).toBe(0);
  return stderr + stdout;
}

describe.skipIf(peer === undefined)("a BertModel that transformers saved", () => {
  const encoder = join(root, "encoder");
  const data = join(root, "data");

  beforeAll(() => {
    peer?.run(script, ["make", root]);
    writeFileSync(
      join(root, "text.txt"),
      words
        .map((word) => `${word} `.repeat(500))
        .join("\n\n")
        .concat("\n\n")
        .repeat(3),
    );
    succeed(["prepare", join(root, "text.txt"), "--out", data, "--tokenizer", encoder, "--length", "32"]);
  });

  const run = (name: string, model: string, steps: number) => {
    const path = join(root, `${name}.yaml`);
    const settings = {
      ...{ out: name, model, data: { from: "data" }, objective: "mlm", steps },
      ...{ batch: { sequences: 8 }, optimizer: { lr: 3e-3 }, evaluate: { every: steps } },
      engine: { kind: "onnx", threads: 1 },
    };
    writeFileSync(path, JSON.stringify(settings).replace(JSON.stringify(model), model));
    return JSON.parse(cli(["pretrain", path, "--json"]).stdout);
  };

  /** The words that transformers fills in, most probable first. */
  const filled = (folder: string): { words: [string, number][] } => {
    const said = JSON.parse(peer?.run(script, ["fill", folder, "miller miller [MASK] miller miller miller"]) ?? "");
    expect(said).toMatchObject({ kind: "BertForMaskedLM", missing: [], unexpected: [] });
    return said;
  };

  test("grows, learns, and fills masks in transformers", () => {
    const grown = join(root, "grown");
    const said = succeed(["grow", encoder, grown, "--hidden", "64", "--method", "fpi", "--add-head", "--seed", "5"]);
    expect(said).toMatch(/The language-model head is new/);
    expect(succeed(["verify", encoder, grown])).toMatch(/kept: at most 1e-5 .*exact/);
    const before = filled(grown).words;
    const { evaluation } = run("run", '{"from": "grown"}', 150);
    // Six words: 1.8 is what a model has that learned nothing but how many they are.
    expect(evaluation.loss).toBeLessThan(1);
    const [[word, score]] = filled(join(root, "run", "model")).words;
    expect(word).toBe("miller");
    expect(score).toBeGreaterThan(0.5);
    expect(before[0][1]).toBeLessThan(score);
  });

  test("starts a run as it is, where the run draws the head", () => {
    const { evaluation } = run("as-it-is", '{"from": "encoder", "add-head": true}', 150);
    expect(evaluation.loss).toBeLessThan(1.5);
    expect(filled(join(root, "as-it-is", "model")).words[0][0]).toBe("miller");
  });

  test.each(["parallel", "compiled"])("is read from the names of a wrapped model: %s", async (name) => {
    const [plain, wrapped] = await Promise.all([openModel(encoder), openModel(join(root, name))]);
    expect(wrapped.weights.storedName("embeddings.LayerNorm.weight")).toMatch(/^(module|_orig_mod)\./);
    expect(wrapped.model.config.architectures).toEqual(["BertModel"]);
    for (const { name: parameter } of plain.model.parameters) {
      expect(await wrapped.weights.readF32(parameter)).toEqual(await plain.weights.readF32(parameter));
    }
    await Promise.all([plain.close(), wrapped.close()]);
  });
});

describe.skipIf(peer === undefined)("every class that transformers has of these architectures", () => {
  const made = join(root, "classes");
  beforeAll(() => {
    peer?.run(script, ["classes", made]);
  });

  /** Grows each; what transformers says of the results. */
  async function grown(addHead: boolean) {
    const names = readdirSync(made);
    expect(names.length).toBeGreaterThan(15);
    const out: string[] = [];
    for (const name of names) {
      const source = await openModel(join(made, name));
      const { model, folder } = source;
      const add = addHead && model.outputs.lm === "none";
      const heads = add ? outputsWithLanguageModel(model, folder) : model.outputs;
      const plan = planGrowth(model, resizedModel(model, { hidden: 32 }, heads), { method: "fpi" });
      out.push(join(root, addHead ? "with" : "without", name));
      mkdirSync(join(root, addHead ? "with" : "without"), { recursive: true });
      await applyGrowth(plan, source, out[out.length - 1]);
      await source.close();
    }
    const opened: Record<string, Opened> = JSON.parse(peer?.run(script, ["open", ...out]) ?? "");
    return Object.entries(opened);
  }

  test("grows into one that opens with all its tensors, but for a pooler that was not there", async () => {
    for (const [name, { kind, missing, unexpected }] of await grown(false)) {
      const file = await openSafetensors(join(made, name, "model.safetensors"));
      const stored = [...file.tensors.keys()].some((tensor) => tensor.includes("pooler"));
      await file.close();
      const pooler = !stored && /^(Bert|Roberta)Model$/.test(kind) ? ["pooler.dense.bias", "pooler.dense.weight"] : [];
      expect({ name, missing, unexpected }).toEqual({ name, missing: pooler, unexpected: [] });
    }
  });

  test("with --add-head opens as a language model, nothing missing", async () => {
    for (const [name, { kind, missing, unexpected }] of await grown(true)) {
      expect({ name, missing, unexpected }).toEqual({ name, missing: [], unexpected: [] });
      expect(kind).toMatch(/^(BertForMaskedLM|BertForPreTraining|RobertaForMaskedLM|GPT2LMHeadModel)$/);
    }
  });
});

describe.skipIf(peer === undefined)("activations", () => {
  test("every name of a function that is supported is read as that function, and no other name is", () => {
    const names = JSON.parse(peer?.run(script, ["activations", "{}"]) ?? "").names;
    expect(names.length).toBeGreaterThan(15);
    const read: Record<string, string> = {};
    for (const name of names) {
      try {
        read[name] = new ConfigReader({ act: name }, "c").activation("act");
      } catch (error) {
        // Another name would be another network.
        expect(String(error)).not.toMatch(/did you mean/);
      }
    }
    const found = JSON.parse(peer?.run(script, ["activations", JSON.stringify(read)]) ?? "");
    expect(found).toMatchObject({ wrong: [], left: [] });
    expect(read).toMatchObject({ gelu_fast: "gelu-tanh", gelu_python: "gelu-erf", gelu: "gelu-erf", relu: "relu" });
    expect(read).not.toHaveProperty("quick_gelu");
  });
});
