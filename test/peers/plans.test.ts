/**
 * StackBERT, MSLT, the two stages and LLaMA Pro's block expansion against plans.py, an account of them in PyTorch written from the description alone:
 * the same stages, the same parameters trained in each step, and the same values after two steps of each stage.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { trainingBatch } from "../../src/data/batch/batches.ts";
import { openDataset } from "../../src/data/prepared/dataset.ts";
import { createModel } from "../../src/model/create.ts";
import { methodDefinition } from "../../src/study/methods.ts";
import { stageAt, subModelAt } from "../../src/train/plan/stage.ts";
import { pretrain } from "../../src/train/pretrain.ts";
import { isEvaluation, readMetrics } from "../../src/train/run/metrics.ts";
import { loadRun, stagesOf } from "../../src/train/run/settings.ts";
import { Interrupted } from "../../src/util/errors.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { readTensors } from "../probe/fixtures.ts";
import { python, temporaryFolder } from "../support.ts";
import { bertConfig, gpt2Config, writeData } from "../train/data.ts";

const peer = python(["torch", "transformers", "safetensors"]);

const depth = 4;
const target = { layers: depth, hidden: 16, heads: 4, headWidth: 4, ffn: 64 };
const batch = { sequences: 4, accumulate: 1, masked: 0.15 };
/** Long enough that each stage has two steps; `after`: so many steps done, two of each stage. */
const plans = {
  stackbert: { method: "stackbert", steps: 40, after: [2, 7, 14] },
  mslt: { method: "mslt", steps: 26, after: [2, 6, 10, 14, 18] },
  "two-stage": { method: "aki-two-stage", steps: 32, after: [2, 6] },
  "llama-pro": { method: "scratch", steps: 20, after: [2, 7, 8] },
} as const;

/** What a study has no name for. */
const written: Readonly<Record<string, unknown>> = {
  "llama-pro": [
    { name: "base", share: 0.25 },
    { name: "new", grow: { layers: depth + 2, depth: "zero" }, train: "new" },
  ],
};

const kinds = {
  gpt2: { objective: "clm", class: "GPT2LMHeadModel" },
  bert: { objective: "mlm", class: "BertForMaskedLM" },
  llama: { objective: "clm", class: "LlamaForCausalLM" },
} as const;

/** Weights of a trained model's size: by drawn ones attention writes next to nothing, and Adam makes steps of rounding. */
const llamaConfig = {
  ...{ model_type: "llama", hidden_size: 16, num_attention_heads: 4, num_key_value_heads: 2, intermediate_size: 24 },
  ...{ vocab_size: gpt2Config.vocab_size, max_position_embeddings: 32, initializer_range: 0.2 },
};

const cases = [
  ...(["stackbert", "mslt", "two-stage"] as const).map(
    (plan) => ({ name: `gpt2-${plan}`, kind: "gpt2", plan }) as const,
  ),
  ...(["stackbert", "two-stage"] as const).map((plan) => ({ name: `bert-${plan}`, kind: "bert", plan }) as const),
  ...(["gpt2", "llama"] as const).map((kind) => ({ name: `${kind}-llama-pro`, kind, plan: "llama-pro" }) as const),
];

interface Account {
  readonly name: string;
  readonly steps: readonly { readonly stage: string; readonly run: number; readonly learned: readonly string[] }[];
}

describe.skipIf(peer === undefined)("plans against PyTorch", () => {
  const root = temporaryFolder();
  const out = join(root, "out");
  let accounts: readonly Account[] = [];

  beforeAll(async () => {
    await writeData(join(root, "data"));
    const dataset = await openDataset(join(root, "data"));
    const given = [];
    for (const { name, kind, plan } of cases) {
      const { method, steps, after } = plans[plan];
      const { objective, class: className } = kinds[kind];
      const definition = methodDefinition(method, "the test");
      const layers = definition.init?.(target).layers ?? depth;
      const config = {
        gpt2: { ...gpt2Config, n_layer: layers, resid_pdrop: 0, embd_pdrop: 0, attn_pdrop: 0 },
        bert: { ...bertConfig, num_hidden_layers: layers, hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 },
        llama: { ...llamaConfig, num_hidden_layers: layers },
      }[kind];
      const folder = join(root, `${name}-start`);
      await createModel(config, name, folder, { seed: 5 });
      const settings = {
        ...{ out: name, model: { from: `${name}-start` }, data: { from: "data" }, objective, batch, steps },
        optimizer: { lr: 2e-3, dropout: 0 },
        plan: written[plan] ?? definition.plan(target),
        ...{ evaluate: { every: 0 }, checkpoint: { every: 1, keep: 100 }, log: { every: 1 } },
        engine: { kind: "onnx", threads: 1, precision: "f32" },
      };
      writeFileSync(join(root, `${name}.yaml`), JSON.stringify(settings));
      const stages = await stagesOf(await loadRun(join(root, `${name}.yaml`)), layers, steps);
      const count = Math.max(...after);
      const batches = Array.from({ length: count }, (_, step) => {
        const made = trainingBatch(dataset, { objective, seed: 1, step, micro: 0, batch });
        const flat = new Int32Array(made.ids.length).fill(-100);
        made.gather?.forEach((place, i) => {
          if (made.weights[i] > 0) flat[place] = made.labels[i];
        });
        const rows = (values: Int32Array) =>
          Array.from({ length: batch.sequences }, (_, row) => Array.from(values.subarray(row * 16, (row + 1) * 16)));
        // GPT-2's labels are the ids: the loss shifts them.
        return { ids: rows(made.ids), labels: rows(objective === "clm" ? made.ids : flat) };
      });
      const drawn = Array.from(
        { length: count },
        (_, step) => subModelAt(stageAt(stages, step), depth, 1, step).layers,
      );
      given.push({ name, class: className, folder, plan, depth, steps, after, lr: 2e-3, batches, drawn });
    }
    dataset.close();
    mkdirSync(out);
    writeFileSync(join(root, "cases.json"), JSON.stringify(given));
    const script = readFileSync(join(packageRoot(), "test", "peers", "plans.py"), "utf8");
    accounts = JSON.parse(peer?.run(script, [join(root, "cases.json"), out]) ?? "[]");
  });

  it.each(cases)("$name: the same stages, the same trained, the same parameters", async ({ name, plan }) => {
    const { after: asked } = plans[plan];
    let done = 0;
    const run = pretrain(await loadRun(join(root, `${name}.yaml`)), {
      stopped: () => (done >= Math.max(...asked) ? "SIGTERM" : undefined),
      progress: ({ step }) => {
        done = step;
      },
    });
    await expect(run).rejects.toThrow(Interrupted);
    const steps = accounts.find((one) => one.name === name)?.steps ?? [];
    expect(steps).toHaveLength(Math.max(...asked));
    const lines = await readMetrics(join(root, name, "metrics.jsonl"));
    const own = lines.flatMap((line) => (isEvaluation(line) ? [] : [`${line.stage} ${line.layers}`]));
    expect(own).toEqual(steps.map(({ stage, run }) => `${stage} ${run}`));
    const at = (step: number) => readTensors(join(root, name, "checkpoints", `step-${step}`, "model.safetensors"));
    for (const after of asked) {
      const [before, now] = [await at(after - 1), await at(after)];
      const changed = [...now].filter(([key, { data }]) => !same(data, before.get(key)?.data)).map(([key]) => key);
      expect(changed.sort(), `step ${after}`).toEqual(steps[after - 1].learned);
      const theirs = await readTensors(join(out, `${name}-${after}.safetensors`));
      expect([...theirs.keys()].sort()).toEqual([...now.keys()].sort());
      for (const [key, { data }] of now) {
        // Absolute: a bias that began at 0 is as small as a step or two of the rate, so its own scale is no measure.
        const expected = theirs.get(key)?.data ?? new Float32Array();
        const largest = data.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
        expect(largest, `${key} after ${after}`).toBeLessThan(2e-6);
      }
    }
  });
});

function same(a: Float32Array, b: Float32Array | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}
