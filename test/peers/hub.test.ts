/**
 * The whole way on the Hub: a model named as there goes from a Hub on loopback to grown, trained, pushed back, and
 * loaded from it by transformers, which also finds in the cache what was brought there.
 */
import { execFile } from "node:child_process";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it, vi } from "vitest";
import { inProcess } from "../cli/bad-input/support.ts";
import { LoopbackHub } from "../hub/server.ts";
import { python, temporaryFolder } from "../support.ts";

const peer = python(["torch", "transformers", "huggingface_hub"]);

const script = `
import sys, json, torch
from transformers import AutoModelForMaskedLM, AutoTokenizer
from huggingface_hub import ModelCard
out = {}
for name in sys.argv[1:]:
    model, info = AutoModelForMaskedLM.from_pretrained(name, output_loading_info=True)
    tokenizer = AutoTokenizer.from_pretrained(name)
    with torch.no_grad():
        loss = model(**tokenizer("a b a c", return_tensors="pt")).logits.square().mean().item()
    out[name] = dict(hidden=model.config.hidden_size, missing=sorted(info["missing_keys"]), finite=loss == loss)
try:
    card = ModelCard.load(sys.argv[-1]).data
    out["card"] = dict(base_model=card.base_model, license=card.license, tags=card.tags, pipeline=card.pipeline_tag,
        metrics=sorted(result.metric_type for result in card.eval_results or []))
except Exception as error:
    out["card"] = str(error)
print(json.dumps(out))
`;

describe.skipIf(peer === undefined)("the Hub, with transformers", () => {
  const hub = new LoopbackHub();
  afterAll(() => {
    hub.stop();
    vi.unstubAllEnvs();
  });

  /** Beside this process, which is the Hub. */
  const transformers = async (names: readonly string[], cache: string, offline: string) => {
    const env = { ...process.env, HF_ENDPOINT: hub.address, HF_HUB_CACHE: cache, HF_HUB_OFFLINE: offline };
    const given = { ...env, TRANSFORMERS_OFFLINE: offline, CUDA_VISIBLE_DEVICES: "", HF_HUB_DISABLE_TELEMETRY: "1" };
    const command = process.env.BERT2BERT_PYTHON ?? "python3";
    const { stdout } = await promisify(execFile)(command, ["-c", script, ...names], { env: given });
    return JSON.parse(stdout.slice(stdout.indexOf("{")));
  };

  it("goes from a name to a pushed model that transformers loads", async () => {
    await hub.start();
    const folder = temporaryFolder();
    const cache = join(folder, "cache");
    vi.stubEnv("HF_HUB_OFFLINE", "");
    vi.stubEnv("TRANSFORMERS_OFFLINE", "");
    vi.stubEnv("HF_ENDPOINT", hub.address);
    vi.stubEnv("HF_HUB_CACHE", cache);
    vi.stubEnv("HF_TOKEN", "hf_writer");
    const source = join(folder, "source");
    const run = async (...words: string[]) => {
      const result = await inProcess(words);
      expect(result.stderr).not.toContain("hf_writer");
      expect(result, words.join(" ")).toMatchObject({ code: 0, stderr: expect.not.stringContaining("error") });
      return result;
    };
    const text = join(folder, "text.txt");
    writeFileSync(text, Array.from({ length: 200 }, (_, i) => `a b c ${i % 7} a b\nc a ${i % 5} b\n\n`).join(""));
    await run("tokenizer", "train", text, "--out", join(folder, "words"), "--kind", "wordpiece", "--vocab", "64");
    const config = {
      model_type: "bert",
      vocab_size: 64,
      hidden_size: 16,
      num_hidden_layers: 1,
      num_attention_heads: 2,
    };
    const more = { intermediate_size: 32, max_position_embeddings: 32, architectures: ["BertForMaskedLM"] };
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, ...more }));
    await run("init", join(folder, "config.json"), source);
    for (const name of ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]) {
      cpSync(join(folder, "words", name), join(source, name));
    }
    writeFileSync(join(source, "README.md"), "---\nlicense: apache-2.0\n---\n# the source\n");
    hub.put("they/small", source);

    await run(
      "prepare",
      text,
      "--tokenizer",
      "they/small",
      "--out",
      join(folder, "data"),
      "--length",
      "16",
      "--validation",
      "0.1",
    );
    await run("grow", "they/small", join(folder, "grown"), "--hidden", "32", "--layers", "2", "--method", "fpi");
    const yaml = {
      out: "run",
      model: { from: "grown" },
      data: { from: "data" },
      objective: "mlm",
      steps: 4,
      batch: { sequences: 4 },
    };
    writeFileSync(
      join(folder, "run.yaml"),
      JSON.stringify({ ...yaml, optimizer: { lr: 0.001 }, evaluate: { every: 4 } }),
    );
    await run("pretrain", join(folder, "run.yaml"));
    await run("push", join(folder, "run"), "me/big");

    const { card, ...loaded } = await transformers(["they/small", "me/big"], join(folder, "python-cache"), "");
    expect(loaded).toEqual({
      "they/small": { hidden: 16, missing: [], finite: true },
      "me/big": { hidden: 32, missing: [], finite: true },
    });
    expect(card).toEqual({
      base_model: "they/small",
      license: "apache-2.0",
      tags: ["bert2bert", "bert"],
      pipeline: "fill-mask",
      metrics: ["accuracy", "loss", "perplexity"],
    });
    // What was brought here, transformers finds without asking.
    const found = await transformers(["they/small"], cache, "1");
    expect(found["they/small"]).toEqual({ hidden: 16, missing: [], finite: true });
    // And what transformers brought is found here.
    vi.stubEnv("HF_HUB_CACHE", join(folder, "python-cache"));
    vi.stubEnv("HF_HUB_OFFLINE", "1");
    expect((await run("inspect", "me/big", "--json")).stdout).toContain('"hidden": 32');
  });
});
