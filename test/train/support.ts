/** What the trainer's tests share: the fixtures' batches as a trainer's inputs, and an engine with a model in it. */
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { Engine, TensorData } from "../../src/engine/engine.ts";
import type { Model } from "../../src/model/architecture.ts";
import { openModel } from "../../src/model/load.ts";
import type { LossOptions, Objective } from "../../src/model/objectives.ts";
import { elements, shapeOf } from "../../src/model/table.ts";
import { momentNames } from "../../src/train/step/step.ts";
import { fixture } from "../support.ts";

export interface FixtureBatch {
  readonly form: LossOptions;
  readonly inputs: Record<string, TensorData>;
}

async function integers(name: string): Promise<ReadonlyMap<string, Int32Array>> {
  const file = await openSafetensors(fixture(name, "inputs.safetensors"));
  const tensors = new Map<string, Int32Array>();
  for (const tensor of file.tensors.keys()) {
    const bytes = await file.read(tensor);
    const wide = new BigInt64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    tensors.set(tensor, Int32Array.from(wide, Number));
  }
  await file.close();
  return tensors;
}

/** A fixture's batch of 3 sequences of 24 tokens, with as many masked places a sequence as the fullest has. */
export async function fixtureBatch(name: string): Promise<FixtureBatch> {
  const tensors = await integers(name);
  const [batch, length] = [3, 24];
  const ids = tensors.get("input_ids") ?? new Int32Array();
  const given = tensors.get("labels") ?? new Int32Array();
  const mask = tensors.get("attention_mask");
  if (mask === undefined) {
    const labels = Int32Array.from(given, (_, i) => (i % length === length - 1 ? 0 : given[i + 1]));
    const counted = batch * (length - 1);
    const weights = Float32Array.from(given, (_, i) => (i % length === length - 1 ? 0 : 1 / counted));
    return {
      form: { objective: "clm", batch, length, perSequence: length },
      inputs: { ids, labels, weights },
    };
  }
  const places = Array.from({ length: batch }, (_, row) =>
    [...given.keys()].filter((i) => Math.floor(i / length) === row && given[i] !== -100),
  );
  const perSequence = Math.max(...places.map((row) => row.length));
  const counted = places.flat().length;
  const gather = new Int32Array(batch * perSequence);
  const labels = new Int32Array(batch * perSequence);
  const weights = new Float32Array(batch * perSequence);
  places.forEach((row, r) => {
    for (let j = 0; j < perSequence; j++) {
      gather[r * perSequence + j] = row[j] ?? r * length;
      labels[r * perSequence + j] = j < row.length ? given[row[j]] : 0;
      weights[r * perSequence + j] = j < row.length ? 1 / counted : 0;
    }
  });
  const types = tensors.get("token_type_ids");
  const nsp = tensors.get("next_sentence_label");
  const objective: Objective = nsp === undefined ? "mlm" : "mlm+nsp";
  return {
    form: { objective, batch, length, perSequence, mask: true, types: types !== undefined },
    inputs: {
      ids,
      mask: Float32Array.from(mask),
      gather,
      labels,
      weights,
      ...(types === undefined ? {} : { types }),
      ...(nsp === undefined ? {} : { nsp_labels: nsp, nsp_weights: new Float32Array(batch).fill(1 / batch) }),
    },
  };
}

/** Puts a fixture's parameters, and moments of 0, into an engine. */
export async function loadFixture(name: string, engine: Engine): Promise<Model> {
  const opened = await openModel(fixture(name));
  for (const parameter of opened.model.parameters) {
    await engine.write(parameter.name, shapeOf(parameter), await opened.weights.readF32(parameter.name));
    const { m, v, steps } = momentNames(parameter.name);
    for (const moment of [m, v]) {
      await engine.write(moment, shapeOf(parameter), new Float32Array(elements(parameter)));
    }
    await engine.write(steps, [], new Float32Array(1));
  }
  await opened.close();
  return opened.model;
}
