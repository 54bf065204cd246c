/**
 * The whole way on real text, for a model in Llama's manner and one in ModernBERT's: a tokenizer, data, a small model,
 * pre-training, a growth in width, key-value heads and depth with Adam's moments, its check, pre-training again; then
 * transformers' auto classes open it, miss nothing, compute the evaluation's loss, and write or fill in.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { dataSize, validationBatches } from "../../src/data/batch/batches.ts";
import { openDataset } from "../../src/data/prepared/dataset.ts";
import { openModel } from "../../src/model/load.ts";
import type { Objective } from "../../src/model/objectives.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { cli, python, sharedData, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "safetensors", "tokenizers"]);
const wiki = sharedData("wikitext-2", "wiki.valid.tokens.gz");
const script = readFileSync(join(packageRoot(), "test", "peers", "whole-way.py"), "utf8");

const shape = { hidden_size: 32, intermediate_size: 48, num_hidden_layers: 3, max_position_embeddings: 64 };

const ways = [
  {
    name: "llama",
    tokenizer: ["--kind", "bpe"],
    config: {
      ...{
        model_type: "llama",
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 8,
        tie_word_embeddings: false,
      },
      ...{ bos_token_id: 0, eos_token_id: 0 },
    },
    objective: "clm",
    grow: ["--hidden", "64", "--heads", "8", "--kv-heads", "4", "--ffn", "100", "--layers", "5"],
    sizes: { hidden: 64, heads: 8, kvHeads: 4, ffn: 100, layers: 5 },
    text: "The city was",
  },
  {
    name: "modernbert",
    tokenizer: ["--kind", "wordpiece", "--lowercase"],
    config: {
      ...{ model_type: "modernbert", num_attention_heads: 2, local_attention: 8 },
      ...{ pad_token_id: 0, bos_token_id: 2, cls_token_id: 2, eos_token_id: 3, sep_token_id: 3 },
    },
    objective: "mlm",
    grow: ["--hidden", "64", "--ffn", "100", "--layers", "6"],
    sizes: { hidden: 64, heads: 4, ffn: 100, layers: 6 },
    text: "the city was [MASK] in the war .",
  },
] as const;

function done(args: readonly string[], cwd: string): string {
  const { code, stdout, stderr } = cli(args, { cwd });
  expect([args.join(" "), code, code === 0 ? "" : stderr]).toEqual([args.join(" "), 0, ""]);
  return stdout;
}

/** The batches that an evaluation runs over, for Python. */
async function writeBatches(folder: string, objective: Objective): Promise<string> {
  const dataset = await openDataset(join(folder, "data"));
  const batch = { sequences: 8, masked: 0.15 };
  const form = { objective, batch, length: dataset.info.length };
  const { perSequence } = dataSize(dataset, objective, { ...batch, accumulate: 1 });
  const rows = Array.from(validationBatches(dataset, { ...form, batch }), ({ ids, gather, labels, weights }) => ({
    ids: Array.from({ length: batch.sequences }, (_, i) =>
      Array.from(ids.subarray(i * form.length, (i + 1) * form.length)),
    ),
    gather: gather === undefined ? null : Array.from(gather),
    labels: Array.from(labels),
    weights: Array.from(weights),
  }));
  dataset.close();
  expect(perSequence).toBeGreaterThan(0);
  const path = join(folder, "batches.json");
  writeFileSync(path, JSON.stringify(rows));
  return path;
}

describe.skipIf(peer === undefined || wiki === undefined)("the whole way", () => {
  it.each(ways)("$name", async ({ tokenizer, config, objective, grow, sizes, text }) => {
    const root = temporaryFolder();
    const run = (file: string, settings: object) => {
      const common = { data: { from: "data" }, objective, batch: { sequences: 8 }, steps: 12, optimizer: { lr: 2e-3 } };
      const rest = { evaluate: { every: 0 }, checkpoint: { every: 12 }, engine: { threads: 1, precision: "f32" } };
      writeFileSync(join(root, file), JSON.stringify({ ...common, ...rest, ...settings }));
      done(["pretrain", file], root);
    };
    const lines = gunzipSync(readFileSync(wiki ?? ""))
      .toString("utf8")
      .split("\n");
    writeFileSync(join(root, "text.txt"), lines.slice(0, 600).join("\n\n"));
    done(["tokenizer", "train", "text.txt", "--out", "tokenizer", "--vocab", "400", ...tokenizer], root);
    done(
      ["prepare", "text.txt", "--tokenizer", "tokenizer", "--out", "data", "--length", "32", "--validation", "0.05"],
      root,
    );
    writeFileSync(join(root, "config.json"), JSON.stringify({ ...shape, ...config }));
    run("small.yaml", { out: "small", model: { init: "config.json" } });
    done(["grow", "small/checkpoints/step-12", "grown", "--method", "fpi", "--depth", "zero", ...grow], root);
    const shown = JSON.parse(done(["verify", "small/checkpoints/step-12", "grown", "--json"], root));
    expect(shown.promise.kind).toBe("exact");
    const grown = await openModel(join(root, "grown"));
    expect(grown.model.dimensions).toMatchObject(sizes);
    await grown.close();
    run("big.yaml", { out: "big", model: { from: "grown" }, optimizer: { lr: 1e-3, moments: "keep" } });
    const evaluated = JSON.parse(
      done(["evaluate", "big/model", "--data", "data", "--sequences", "8", "--threads", "1", "--json"], root),
    );
    const batches = await writeBatches(root, objective);
    const found = JSON.parse(peer?.run(script, [join(root, "big", "model"), batches, text]) ?? "");
    expect(found).toMatchObject({ missing_keys: [], unexpected_keys: [], mismatched_keys: [] });
    expect(Math.abs(found.loss / evaluated.loss - 1)).toBeLessThan(1e-5);
    expect(found.said.trim()).not.toBe("");
  });
});
