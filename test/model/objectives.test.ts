import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, TensorData } from "../../src/engine/engine.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { type OpenModel, openModel } from "../../src/model/load.ts";
import { buildLoss, type LossOptions, supports } from "../../src/model/objectives.ts";
import { runsAlong, shapeOf } from "../../src/model/table.ts";
import { readProbeInputs } from "../../src/probe/inputs.ts";
import type { ProbeTensor } from "../../src/probe/probe.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { differentiate } from "../../src/program/differentiate.ts";
import { flops } from "../../src/program/flops.ts";
import type { Program } from "../../src/program/graph.ts";
import { disagreements, norm, readTensors, relativeNorm } from "../probe/fixtures.ts";
import { fixture } from "../support.ts";

interface Case {
  readonly open: OpenModel;
  readonly options: LossOptions;
  readonly given: Record<string, TensorData>;
  readonly expected: ReadonlyMap<string, ProbeTensor>;
}

/** A fixture as a training batch: labels only at the masked positions, as many a sequence, the missing ones of weight 0. */
async function trainingCase(name: string): Promise<Case> {
  const open = await openModel(fixture(name));
  const inputs = await readProbeInputs(fixture(name, "inputs.safetensors"), open.model);
  const expected = await readTensors(fixture(name, "expected.safetensors"));
  const { batch, length, ids, types, mask, lm, nsp } = inputs;
  if (lm === undefined) throw new Error(`${name} has no labels`);
  const causal = supports(open.model, "clm");
  const perSequence = causal ? 0 : 4;
  const given: Record<string, TensorData> = { ids };
  if (types !== undefined) given.types = types;
  if (mask !== undefined) given.mask = mask;
  if (causal) Object.assign(given, lm);
  else {
    const gather: number[] = [];
    for (let sequence = 0; sequence < batch; sequence++) {
      const masked = Array.from({ length }, (_, i) => sequence * length + i).filter((i) => lm.weights[i] > 0);
      while (masked.length < perSequence) masked.push(sequence * length + 7);
      gather.push(...masked);
    }
    given.gather = Int32Array.from(gather);
    given.labels = Int32Array.from(gather, (i) => lm.labels[i]);
    given.weights = Float32Array.from(gather, (i) => lm.weights[i]);
  }
  if (nsp !== undefined) {
    given.nsp_labels = nsp.labels;
    given.nsp_weights = nsp.weights;
  }
  const options: LossOptions = {
    objective: causal ? "clm" : nsp === undefined ? "mlm" : "mlm+nsp",
    batch,
    length,
    perSequence,
    types: types !== undefined,
    mask: mask !== undefined,
  };
  return { open, options, given, expected };
}

function lossProgram({ open: { model } }: Case, options: LossOptions): Program {
  const b = new ProgramBuilder();
  const { loss, correct } = buildLoss(b, model, options);
  b.output("loss", loss);
  b.output("correct", correct);
  const states = model.parameters.map((parameter) => b.state(parameter.name, shapeOf(parameter)));
  const gradients = differentiate(b, loss, states);
  for (const [i, { name }] of model.parameters.entries()) b.output(`grad/${name}`, gradients[i]);
  return b.build();
}

async function run(engine: Engine, one: Case, options: LossOptions, extra: Record<string, TensorData> = {}) {
  const program = lossProgram(one, options);
  const executable = await engine.compile(program);
  const results = await executable.run({ ...one.given, ...extra });
  await executable.release();
  const tensors = new Map<string, ProbeTensor>();
  for (const [name, { shape }] of program.outputs) {
    const data = results[name];
    if (data instanceof Float32Array) tensors.set(name, { shape: name === "loss" ? [1] : shape, data });
  }
  return tensors;
}

describe.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])("%s", (name) => {
  let one: Case;
  let engine: Engine;
  beforeAll(async () => {
    one = await trainingCase(name);
    engine = await referenceEngine.open({ threads: 1, precision: "f32" });
    for (const parameter of one.open.model.parameters) {
      await engine.write(parameter.name, shapeOf(parameter), await one.open.weights.readF32(parameter.name));
    }
  });
  afterAll(async () => {
    await engine.close();
    await one.open.close();
  });

  test("loss and gradients of the training program are transformers', the head at the predicted positions alone", async () => {
    const found = await run(engine, one, one.options);
    const wanted = new Map([...one.expected].filter(([key]) => key === "loss" || key.startsWith("grad/")));
    expect(disagreements(found, wanted)).toEqual([]);
    const logits = one.expected.get("logits")?.data ?? new Float32Array();
    const vocab = one.open.model.dimensions.vocab;
    const rows = one.given.gather ?? Int32Array.from(one.given.ids, (_, i) => i);
    const correct = Array.from(rows).filter((row, i) => {
      const scores = logits.subarray(row * vocab, (row + 1) * vocab);
      return one.given.weights[i] > 0 && scores.indexOf(Math.max(...scores)) === one.given.labels[i];
    });
    expect(found.get("correct")?.data[0]).toBe(correct.length);
  });

  test("below the trained blocks nothing is computed backward; above, gradients are the whole model's", async () => {
    const { layers } = one.open.model.dimensions;
    const full = await run(engine, one, one.options);
    const found = await run(engine, one, { ...one.options, trainFrom: layers - 1 });
    for (const parameter of one.open.model.parameters) {
      const mine = found.get(`grad/${parameter.name}`)?.data ?? new Float32Array();
      const whole = full.get(`grad/${parameter.name}`)?.data ?? new Float32Array();
      const trains = parameter.layer === layers - 1 || parameter.group === "head";
      if (trains) expect(mine).toEqual(whole);
      else if (parameter.group === "embedding" && runsAlong(parameter.dims[0], "vocab")) {
        // The tied matrix trains through the decoder alone.
        expect(norm(mine)).toBeGreaterThan(0);
        expect(relativeNorm(mine, whole)).toBeGreaterThan(1e-3);
      } else expect(norm(mine)).toBe(0);
    }
    const cost = (trainFrom: number) => flops(lossProgram(one, { ...one.options, trainFrom })).total;
    expect(cost(layers - 1)).toBeLessThan(0.75 * cost(0));
  });

  test("a sub-model of the bottom layers is the model of that depth", async () => {
    const { model } = one.open;
    const shallow = model.architecture.model(model.architecture.resize(model.config, { layers: 1 }), "shallow");
    const cut = await run(engine, one, { ...one.options, layers: 1 });
    const other = await run(engine, { ...one, open: { ...one.open, model: shallow } }, one.options);
    for (const [key, { data }] of other) expect(cut.get(key)?.data).toEqual(data);
    expect(cut.get("loss")?.data).not.toEqual(one.expected.get("loss")?.data);
  });

  test("dropout: transformers' places, a pattern of its own at each, one result for one key", async () => {
    const rates = { embedding: 0.1, attention: 0.2, hidden: 0.3 };
    const options = { ...one.options, dropout: rates };
    const masks = lossProgram(one, options).nodes.filter((node) => node.op.name === "dropoutMask");
    const { layers } = one.open.model.dimensions;
    const at = (rate: number) => masks.filter((node) => node.attrs.rate === rate).length;
    expect([at(0.1), at(0.2), at(0.3)]).toEqual([1, layers, 2 * layers]);
    expect(new Set(masks.map((node) => node.attrs.stream)).size).toBe(1 + 3 * layers);
    const loss = async (key: readonly number[]) =>
      (await run(engine, one, options, { key: Int32Array.from(key) })).get("loss")?.data[0];
    const first = await loss([1, 5]);
    expect(await loss([1, 5])).toBe(first);
    expect(await loss([1, 6])).not.toBe(first);
    expect(await loss([2, 5])).not.toBe(first);
    const off = { ...options, dropout: { embedding: 0, attention: 0, hidden: 0 } };
    const zero = await run(engine, one, off, { key: Int32Array.from([1, 5]) });
    expect(Math.abs((zero.get("loss")?.data[0] ?? 0) / (one.expected.get("loss")?.data[0] ?? 1) - 1)).toBeLessThan(
      1e-6,
    );
  });
});

test("an objective without its heads is refused", async () => {
  const open = await openModel(fixture("roberta-tiny"));
  expect(supports(open.model, "mlm")).toBe(true);
  expect(supports(open.model, "mlm+nsp")).toBe(false);
  expect(supports(open.model, "clm")).toBe(false);
  const options: LossOptions = { objective: "clm", batch: 1, length: 4, perSequence: 0 };
  expect(() => buildLoss(new ProgramBuilder(), open.model, options)).toThrow(/no heads for clm/);
  await open.close();
});
