/** The example of docs/how-to/add-an-engine.md: it trains, and the page shows it as it is. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { roundingEngine } from "../../docs/examples/rounding-engine.ts";
import { buildStep } from "../../src/train/step/step.ts";
import { largestDifference, readTensors } from "../probe/fixtures.ts";
import { fixture } from "../support.ts";
import { fixtureBatch, loadFixture } from "../train/support.ts";

test("the page shows the example as it is", () => {
  const page = readFileSync(new URL("../../docs/how-to/add-an-engine.md", import.meta.url), "utf8");
  const code = readFileSync(new URL("../../docs/examples/rounding-engine.ts", import.meta.url), "utf8");
  expect(page).toContain(code);
});

test("the example trains: near PyTorch's steps, but only as near as bf16 is", async () => {
  const name = "gpt2-tiny";
  const engine = await roundingEngine.open({ threads: 1, precision: "auto" });
  const model = await loadFixture(name, engine);
  const { form, inputs } = await fixtureBatch(name);
  const { layers } = model.dimensions;
  const rule = { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 } as const;
  const step = buildStep(model, { loss: form, model: { layers, train: layers }, head: true, accumulate: 1 }, rule);
  const executable = await engine.compile(step.batch);
  const expected = await readTensors(fixture(name, "expected.safetensors"));
  const { loss } = await executable.run({ ...inputs, rate: Float32Array.of(5e-4) });
  const wanted = expected.get("loss")?.data[0] ?? Number.NaN;
  // bf16 keeps 8 bits: 2^-9 relative for one rounding, a few of them to the loss.
  expect(Math.abs(loss[0] - wanted) / wanted).toBeLessThan(0.02);
  expect(loss[0]).not.toBe(wanted);
  for (let i = 0; i < 2; i++) await executable.run({ ...inputs, rate: Float32Array.of(5e-4) });
  const parameter = "transformer.wte.weight";
  const moved = await engine.read(parameter);
  const after = expected.get(`step3/${parameter}`)?.data ?? new Float32Array();
  const apart = moved instanceof Float32Array ? largestDifference(moved, after) : Number.NaN;
  expect(apart).toBeLessThan(0.02);
  expect(apart).toBeGreaterThan(2e-5);
  await engine.close();
});
