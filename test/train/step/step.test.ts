import { describe, expect, it } from "vitest";
import type { Engine, TensorData } from "../../../src/engine/engine.ts";
import { onnxEngine } from "../../../src/engine/onnx/onnx.ts";
import { referenceEngine } from "../../../src/engine/reference/reference.ts";
import type { Model } from "../../../src/model/architecture.ts";
import type { SubModel } from "../../../src/train/plan/stage.ts";
import { runStep } from "../../../src/train/step/compiled.ts";
import { addAccumulators } from "../../../src/train/step/state.ts";
import { buildStep, momentNames, type OptimizerRule } from "../../../src/train/step/step.ts";
import { usableEngines } from "../../engine/compare.ts";
import { largestDifference, readTensors } from "../../probe/fixtures.ts";
import { fixture } from "../../support.ts";
import { fixtureBatch, loadFixture } from "../support.ts";

const rule: OptimizerRule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 };
const settings = { threads: 1, precision: "f32" } as const;

async function real(engine: Engine, name: string): Promise<Float32Array> {
  const data = await engine.read(name);
  if (!(data instanceof Float32Array)) throw new TypeError(name);
  return data;
}

async function runSteps(
  engine: Engine,
  model: Model,
  sub: SubModel,
  name: string,
  steps: number,
  head = true,
): Promise<ReturnType<typeof buildStep>> {
  const { form, inputs } = await fixtureBatch(name);
  const step = buildStep(model, { loss: form, model: sub, head, accumulate: 1 }, rule);
  const executable = await engine.compile(step.batch);
  for (let i = 0; i < steps; i++) await executable.run({ ...inputs, rate: Float32Array.of(5e-4) });
  await executable.release();
  return step;
}

describe.each([referenceEngine, ...(await usableEngines())])("on $kind", (kind) => {
  it.each([
    ...["bert-tiny", "roberta-tiny", "gpt2-tiny", "llama-tiny", "mistral-tiny", "qwen2-tiny", "qwen3-tiny"],
    ...["modernbert-tiny", "distilbert-tiny", "xlm-roberta-tiny"],
  ])("three steps of %s end where PyTorch's do", async (name) => {
    const engine = await kind.open(settings);
    const model = await loadFixture(name, engine);
    const { layers } = model.dimensions;
    await runSteps(engine, model, { layers, train: layers }, name, 3);
    const expected = await readTensors(fixture(name, "expected.safetensors"));
    for (const { name: parameter } of model.parameters) {
      const wanted = expected.get(`step3/${parameter}`)?.data ?? new Float32Array();
      expect(largestDifference(await real(engine, parameter), wanted), parameter).toBeLessThan(2e-5);
      expect((await real(engine, momentNames(parameter).steps))[0]).toBe(3);
    }
    await engine.close();
  });

  it("two accumulated micro-batches make the step of one batch of double the size", async () => {
    const { form, inputs } = await fixtureBatch("gpt2-tiny");
    const count = form.batch * form.length;
    const rotated = Int32Array.from({ length: count }, (_, i) => 5 + ((i * 7) % 100));
    const halved = Float32Array.from(inputs.weights, (weight) => weight / 2);
    const parts = [
      { ids: Int32Array.from(inputs.ids), labels: Int32Array.from(inputs.labels), weights: halved },
      { ids: rotated, labels: Int32Array.from(rotated, (_, i) => rotated[(i + 1) % count]), weights: halved },
    ];
    const joined: Record<string, TensorData> = {
      ids: Int32Array.from([...parts[0].ids, ...parts[1].ids]),
      labels: Int32Array.from([...parts[0].labels, ...parts[1].labels]),
      weights: Float32Array.from([...parts[0].weights, ...parts[1].weights]),
    };
    const after: Float32Array[][] = [];
    for (const accumulate of [1, 2]) {
      const engine = await kind.open(settings);
      const model = await loadFixture("gpt2-tiny", engine);
      const whole = { layers: 3, train: 3 };
      const loss = { ...form, batch: form.batch * (accumulate === 1 ? 2 : 1) };
      const programs = buildStep(model, { loss, model: whole, head: true, accumulate }, rule);
      if (accumulate > 1) await addAccumulators(engine, programs.trained);
      const compiled = {
        programs,
        flops: { exact: 0, paper: 0 },
        batch: await engine.compile(programs.batch),
        apply: programs.apply === undefined ? undefined : await engine.compile(programs.apply),
      };
      for (let i = 0; i < 2; i++) {
        await runStep(compiled, accumulate, (micro) => (accumulate === 1 ? joined : parts[micro]), 5e-4);
      }
      after.push(await Promise.all(model.parameters.map(({ name }) => real(engine, name))));
      await engine.close();
    }
    // The gradients' sums round differently, and Adam's first steps are as large for a tiny gradient as for a large one.
    after[0].forEach((values, i) => {
      expect(largestDifference(after[1][i], values)).toBeLessThan(5e-6);
    });
  });
});

describe("a sub-model's step", () => {
  const cases: readonly (readonly [string, SubModel])[] = [
    ["bert-tiny", { layers: 2, train: 1 }],
    ["bert-tiny", { layers: 1, train: 1 }],
    ["roberta-tiny", { layers: 2, train: 1 }],
    ["gpt2-tiny", { layers: 3, train: 2 }],
    ["gpt2-tiny", { layers: 2, train: 2 }],
    ["bert-tiny", { layers: 3, train: 2, blocks: [0, 2] }],
    ["gpt2-tiny", { layers: 3, train: 1, blocks: [1] }],
  ];
  it.each(cases)("of %s changes what %o trains and not a byte of the rest", async (name, sub) => {
    const head = sub.blocks === undefined;
    const engine = await onnxEngine.open(settings);
    const model = await loadFixture(name, engine);
    const states = (parameter: string) => [parameter, ...Object.values(momentNames(parameter))];
    // Moments that are not 0, so that a decay of them would show.
    for (const { name: parameter, dims } of model.parameters) {
      const shape = dims.map((dim) => dim.size);
      const moment = new Float32Array(shape.reduce((product, extent) => product * extent, 1)).fill(1e-3);
      await engine.write(`m/${parameter}`, shape, moment);
      await engine.write(`v/${parameter}`, shape, moment);
    }
    const before = new Map<string, Float32Array>();
    for (const { name: parameter } of model.parameters) {
      for (const state of states(parameter)) before.set(state, await real(engine, state));
    }
    await runSteps(engine, model, sub, name, 1, head);
    const from = sub.layers - sub.train;
    const tied = model.parameters[0];
    expect(tied.dims[0].factors).toMatchObject([{ axis: "vocab" }]);
    for (const parameter of model.parameters) {
      const trains =
        parameter.layer !== null
          ? (sub.blocks?.includes(parameter.layer) ?? (parameter.layer >= from && parameter.layer < sub.layers))
          : head && (parameter.group === "head" || parameter === tied || from === 0);
      for (const state of states(parameter.name)) {
        const same = Buffer.from((await real(engine, state)).buffer).equals(
          Buffer.from(before.get(state)?.buffer ?? new ArrayBuffer()),
        );
        expect(same, `${state} is ${trains ? "trained" : "not trained"}`).toBe(!trains);
      }
    }
    await engine.close();
  });

  it("counts the tied matrix's lookups only where the bottom block trains", async () => {
    const { form } = await fixtureBatch("gpt2-tiny");
    const engine = await referenceEngine.open(settings);
    const model = await loadFixture("gpt2-tiny", engine);
    const steps = [3, 2].map((train) => {
      const programs = buildStep(model, { loss: form, model: { layers: 3, train }, head: true, accumulate: 1 }, rule);
      const names = programs.batch.nodes.map((node) => node.op.name);
      return { names, trained: programs.trained.map((parameter) => parameter.name) };
    });
    await engine.close();
    expect(steps[0].names).toContain("scatterAdd");
    expect(steps[1].names).not.toContain("scatterAdd");
    expect(steps[1].trained).toContain("transformer.wte.weight");
    expect(steps[1].trained).not.toContain("transformer.wpe.weight");
  });

  it("computes nothing backward below what trains", async () => {
    const engine = await referenceEngine.open(settings);
    const model = await loadFixture("bert-tiny", engine);
    const { form } = await fixtureBatch("bert-tiny");
    const build = (sub: SubModel) => buildStep(model, { loss: form, model: sub, head: true, accumulate: 1 }, rule);
    const count = (step: ReturnType<typeof buildStep>, op: string) =>
      step.batch.nodes.filter((node) => node.op.name === op).length;
    const whole = build({ layers: 3, train: 3 });
    const top = build({ layers: 3, train: 1 });
    expect(count(whole, "attention")).toBe(3);
    expect(count(top, "attention")).toBe(3);
    expect(count(whole, "attentionGrad")).toBe(3);
    expect(count(top, "attentionGrad")).toBe(1);
    expect(count(top, "geluGrad")).toBe(2);
    expect(top.flops).toBeLessThan(0.75 * whole.flops);
    expect(count(build({ layers: 1, train: 1 }), "attention")).toBe(1);
    // Of blocks that the gradient passes alone, activations: as many weights' gradients as there are weights that train.
    const passed = buildStep(
      model,
      { loss: form, model: { layers: 3, train: 1, blocks: [1] }, head: false, accumulate: 1 },
      rule,
    );
    expect(count(passed, "attentionGrad")).toBe(2);
    const updated = new Set([...passed.batch.updates.keys()].filter((name) => !name.includes("/")));
    expect([...updated].sort()).toEqual(
      model.parameters.flatMap(({ layer, name }) => (layer === 1 ? [name] : [])).sort(),
    );
    const forward = build({ layers: 3, train: 0 }).flops;
    const [one, all] = [passed.flops - forward, whole.flops - forward];
    expect(one).toBeLessThan(0.6 * all);
    await engine.close();
  });

  it("leaves a head alone that the objective does not reach", async () => {
    const engine = await referenceEngine.open(settings);
    const model = await loadFixture("bert-tiny", engine);
    const { form } = await fixtureBatch("bert-tiny");
    const loss = { ...form, objective: "mlm" } as const;
    const step = buildStep(model, { loss, model: { layers: 3, train: 3 }, head: true, accumulate: 1 }, rule);
    const names = step.trained.map((parameter) => parameter.name);
    expect(names).toContain("cls.predictions.bias");
    expect(names.filter((name) => name.includes("pooler") || name.includes("seq_relationship"))).toEqual([]);
    await engine.close();
  });
});
