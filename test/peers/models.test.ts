/**
 * Against transformers: models of other shapes, heads and activations than the fixtures' compute the same, and what
 * `init` writes opens there with nothing missing or unexpected and computes the same.
 */
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stablelm } from "../../docs/examples/stablelm.ts";
import { readConfig } from "../../src/checkpoint/folder.ts";
import type { EngineKind } from "../../src/engine/engine.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { createModel } from "../../src/model/create.ts";
import { openModel } from "../../src/model/load.ts";
import { readProbeInputs } from "../../src/probe/inputs.ts";
import { probe } from "../../src/probe/probe.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { usableEngines } from "../engine/compare.ts";
import { disagreements, readTensors } from "../probe/fixtures.ts";
import { python, temporaryFolder } from "../support.ts";

const kinds = [referenceEngine, ...(await usableEngines())];
const peer = python(["torch", "transformers", "safetensors"]);
const script = readFileSync(join(packageRoot(), "test", "peers", "models.py"), "utf8");
const root = temporaryFolder();

async function compare(kind: EngineKind, folder: string): Promise<string[]> {
  const open = await openModel(folder);
  const inputs = await readProbeInputs(join(folder, "inputs.safetensors"), open.model);
  const engine = await kind.open({ threads: 1, precision: "f32" });
  const gradients = inputs.lm !== undefined || inputs.nsp !== undefined;
  const found = await probe(open.model, open.weights, inputs, engine, { gradients });
  await engine.close();
  await open.close();
  return disagreements(found, await readTensors(join(folder, "expected.safetensors")));
}

/** A safetensors file with input_ids of this shape, I64. */
function tokenIds(shape: readonly [number, number]): Uint8Array {
  const count = shape[0] * shape[1];
  const info = { input_ids: { dtype: "I64", shape, data_offsets: [0, 8 * count] } };
  const header = Buffer.from(JSON.stringify(info));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([
    length,
    header,
    Buffer.from(BigInt64Array.from({ length: count }, (_, i) => BigInt((7 * i + 5) % 60)).buffer),
  ]);
}

const made = join(root, "made");
beforeAll(() => {
  peer?.run(script, ["make", made]);
});

describe.skipIf(peer === undefined)("models that transformers made", () => {
  test.each(kinds)("compute the same here, gradients included: $kind", async (kind) => {
    // The documentation's example is not in the list of architectures, so not for openModel.
    const names = readdirSync(made).filter((name) => !name.startsWith("stablelm"));
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) expect([name, ...(await compare(kind, join(made, name)))]).toEqual([name]);
  });
});

describe.skipIf(peer === undefined)("the documentation's example of an architecture", () => {
  test.each(["stablelm", "stablelm-biases"])("computes what transformers computes: %s", async (name) => {
    const folder = join(made, name);
    const model = stablelm.model(await readConfig(folder), folder);
    const stored = await readTensors(join(folder, "model.safetensors"));
    expect([...stored.keys()].sort()).toEqual(model.parameters.map((parameter) => parameter.name).sort());
    const readF32 = async (name: string) => stored.get(name)?.data ?? new Float32Array();
    const inputs = await readProbeInputs(join(folder, "inputs.safetensors"), model);
    const engine = await referenceEngine.open({ threads: 1, precision: "f32" });
    const found = await probe(model, { readF32 }, inputs, engine, { gradients: true });
    await engine.close();
    expect(disagreements(found, await readTensors(join(folder, "expected.safetensors")))).toEqual([]);
  });
});

describe.skipIf(peer === undefined)("what init writes", () => {
  const bert = { vocab_size: 60, hidden_size: 24, num_hidden_layers: 2, num_attention_heads: 3, intermediate_size: 40 };
  const gpt2 = { vocab_size: 60, n_embd: 24, n_layer: 2, n_head: 3, n_positions: 16, bos_token_id: 0, eos_token_id: 0 };
  const configs = [
    ...["BertForPreTraining", "BertForMaskedLM", "BertForNextSentencePrediction", "BertModel"].map((name) => ({
      model_type: "bert",
      architectures: [name],
      max_position_embeddings: 16,
      ...bert,
    })),
    ...["RobertaForMaskedLM", "RobertaModel"].map((name) => ({
      model_type: "roberta",
      architectures: [name],
      max_position_embeddings: 20,
      ...bert,
    })),
    ...[
      "LlamaForCausalLM",
      "MistralForCausalLM",
      "ModernBertForMaskedLM",
      "DistilBertForMaskedLM",
      "XLMRobertaForMaskedLM",
      "Qwen2ForCausalLM",
      "Qwen3ForCausalLM",
    ].map((name) => ({
      model_type: name.replace(/For.*/, "").replace("XLMR", "xlm-r").toLowerCase(),
      architectures: [name],
      max_position_embeddings: 20,
      num_key_value_heads: 1,
      local_attention: 4,
      hidden_dim: 40,
      ...(name.startsWith("ModernBert")
        ? { num_attention_heads: 2, pad_token_id: 0, cls_token_id: 1, sep_token_id: 2 }
        : {}),
      ...{ bos_token_id: 1, eos_token_id: 2 },
      ...bert,
    })),
    ...["GPT2LMHeadModel", "GPT2Model"].map((name) => ({ model_type: "gpt2", architectures: [name], ...gpt2 })),
  ];

  test("opens in transformers with no missing or unexpected key and computes the same", async () => {
    const folders: string[] = [];
    for (const config of configs) {
      const folder = join(root, "init", config.architectures[0]);
      await mkdir(join(root, "init"), { recursive: true });
      await createModel(config, "config.json", folder, { seed: 4 });
      await writeFile(join(folder, "inputs.safetensors"), tokenIds([2, 9]));
      folders.push(folder);
    }
    peer?.run(script, ["open", ...folders]);
    for (const folder of folders) {
      const opened = JSON.parse(await readFile(join(folder, "opened.json"), "utf8"));
      expect([folder, opened]).toEqual([folder, { missing_keys: [], unexpected_keys: [], mismatched_keys: [] }]);
      expect([folder, ...(await compare(referenceEngine, folder))]).toEqual([folder]);
    }
  });
});
