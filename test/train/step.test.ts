import { describe, expect, it } from "vitest";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { buildStep } from "../../src/train/step.ts";
import { largestDifference, readTensors } from "../probe/fixtures.ts";
import { fixture } from "../support.ts";
import { fixtureBatch, loadFixture } from "./support.ts";

const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 } as const;

describe.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])("three steps of %s", (name) => {
  it.each([referenceEngine])("end where PyTorch's do, on $kind", async (kind) => {
    const engine = await kind.open({ threads: 1, precision: "f32" });
    const model = await loadFixture(name, engine);
    const { form, inputs } = await fixtureBatch(name);
    const whole = { layers: model.dimensions.layers, train: model.dimensions.layers };
    const step = buildStep(model, { loss: form, model: whole, head: true, accumulate: 1 }, rule);
    const executable = await engine.compile(step.batch);
    for (let i = 0; i < 3; i++) await executable.run({ ...inputs, rate: Float32Array.of(5e-4) });
    const expected = await readTensors(fixture(name, "expected.safetensors"));
    for (const { name: parameter } of model.parameters) {
      const found = await engine.read(parameter);
      const wanted = expected.get(`step3/${parameter}`)?.data ?? new Float32Array();
      expect(found instanceof Float32Array && largestDifference(found, wanted), parameter).toBeLessThan(2e-5);
    }
    await engine.close();
  });
});
