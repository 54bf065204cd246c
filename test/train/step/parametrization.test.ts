import { describe, expect, it } from "vitest";
import { onnxEngine } from "../../../src/engine/onnx/onnx.ts";
import { resizedModel } from "../../../src/growth/plan.ts";
import { openModel } from "../../../src/model/load.ts";
import { probe } from "../../../src/probe/probe.ts";
import { type Parametrization, parametrize, parametrized } from "../../../src/train/step/parametrization.ts";
import { drawn, loadState } from "../../../src/train/step/state.ts";
import { buildStep } from "../../../src/train/step/step.ts";
import { fixture } from "../../support.ts";
import { fixtureBatch } from "../support.ts";

const mup: Parametrization = { parametrization: { mup: 64 } };

async function modelOf(name: string, hidden: number) {
  const opened = await openModel(fixture(name));
  await opened.close();
  return resizedModel(opened.model, { hidden });
}

function size(values: Float32Array, before?: Float32Array): number {
  const sum = values.reduce((total, value, i) => total + (value - (before?.[i] ?? 0)) ** 2, 0);
  return Math.sqrt(sum / values.length);
}

/** By how much logits and the stream's last state before the head move in a few steps, root mean square. */
async function moved(name: string, hidden: number, keys: Parametrization) {
  const model = await modelOf(name, hidden);
  const engine = await onnxEngine.open({ threads: 1, precision: "f32" });
  const { form, inputs } = await fixtureBatch(name);
  const { layers } = model.dimensions;
  await loadState(engine, model, drawn(parametrized(model, keys), 1), name, undefined);
  const { batch, length } = form;
  const ids = inputs.ids as Int32Array;
  const mask = inputs.mask as Float32Array | undefined;
  const look = async () => {
    const weights = { readF32: async (tensor: string) => (await engine.read(tensor)) as Float32Array };
    const found = await probe(model, weights, { batch, length, ids, mask }, engine, { gradients: false });
    const of = (tensor: string) => found.get(tensor)?.data ?? new Float32Array();
    return { logits: of("logits"), stream: of(`hidden.${layers - 1}`) };
  };
  const before = await look();
  const rule = { betas: [0.9, 0.95], eps: 1e-9, weight_decay: 0, clip: 0, ...keys } as const;
  const step = buildStep(model, { loss: form, model: { layers, train: layers }, head: true, accumulate: 1 }, rule);
  const executable = await engine.compile(step.batch);
  for (let i = 0; i < 4; i++) await executable.run({ ...inputs, rate: Float32Array.of(2e-3) });
  const after = await look();
  await engine.close();
  return {
    logits: size(after.logits, before.logits),
    stream: size(after.stream, before.stream),
  };
}

describe.each(["gpt2-tiny", "bert-tiny", "llama-tiny"])("%s", (name) => {
  it("moves its activations alike at every width by μP, and more the wider it is without", {
    timeout: 60_000,
  }, async () => {
    const grows = async (keys: Parametrization) => {
      const [narrow, wide] = [await moved(name, 128, keys), await moved(name, 512, keys)];
      return { logits: wide.logits / narrow.logits, stream: wide.stream / narrow.stream };
    };
    const [standard, flat] = [await grows({}), await grows(mup)];
    expect(standard.logits).toBeGreaterThan(2);
    expect(flat.logits).toBeGreaterThan(0.75);
    expect(flat.logits).toBeLessThan(1.25);
    expect(flat.stream).toBeGreaterThan(0.75);
    expect(flat.stream).toBeLessThan(1.25);
    expect(standard.stream).toBeGreaterThan(flat.stream * 1.5);
  });

  it("is the standard parametrization at the base width", async () => {
    const model = await modelOf(name, 64);
    const factors = parametrize(model, mup);
    for (const parameter of model.parameters) expect(factors(parameter)).toEqual({ init: 1, rate: 1 });
    expect(parametrized(model, mup).parameters).toEqual(model.parameters);
  });
});

it("scales by what a matrix reads: hidden matrices, the head where it is a matrix, the last norm where it is tied", async () => {
  const rates = async (name: string) => {
    const model = await modelOf(name, 256);
    const factors = parametrize(model, mup);
    return new Map(model.parameters.map((parameter) => [parameter.name, factors(parameter)]));
  };
  const gpt2 = await rates("gpt2-tiny");
  expect(gpt2.get("transformer.h.0.mlp.c_proj.weight")).toEqual({ init: 1 / 2, rate: 1 / 4 });
  expect(gpt2.get("transformer.wte.weight")).toEqual({ init: 1, rate: 1 });
  expect(gpt2.get("transformer.ln_f.weight")).toEqual({ init: 1 / 4, rate: 1 / 4 });
  expect(gpt2.get("transformer.h.0.ln_1.weight")).toEqual({ init: 1, rate: 1 });
  expect(gpt2.get("transformer.h.0.mlp.c_proj.bias")).toEqual({ init: 1, rate: 1 });
  const llama = await rates("llama-tiny");
  expect(llama.get("lm_head.weight")).toEqual({ init: 1 / 4, rate: 1 / 4 });
  expect(llama.get("model.norm.weight")).toEqual({ init: 1, rate: 1 });
  const bert = await rates("bert-tiny");
  expect(bert.get("cls.predictions.transform.LayerNorm.weight")).toEqual({ init: 1 / 4, rate: 1 / 4 });
  expect(bert.get("cls.predictions.transform.dense.weight")).toEqual({ init: 1 / 2, rate: 1 / 4 });
  expect(bert.get("cls.seq_relationship.weight") ?? { init: 1 / 4, rate: 1 / 4 }).toEqual({ init: 1 / 4, rate: 1 / 4 });
});
