/** Attention that stays inside documents: what a model says of one does not depend on what another holds. */
import { describe, expect, test } from "vitest";
import type { TensorData } from "../../src/engine/engine.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { openModel } from "../../src/model/load.ts";
import { buildLoss, supports } from "../../src/model/objectives.ts";
import { shapeOf } from "../../src/model/table.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { fixture } from "../support.ts";

const [batch, length] = [1, 12];
/** Two documents in a sequence; what is predicted lies in the second. */
const boundary = 5;
const predicted = [6, 7, 9, 10];

/** The loss in the second document, given the first one's ids. */
async function lossAfter(name: string, documents: boolean, first: readonly number[]): Promise<number> {
  const { model, weights, close } = await openModel(fixture(name)).then((open) => ({
    ...{ model: open.model, weights: open.weights },
    close: () => open.close(),
  }));
  const engine = await referenceEngine.open({ threads: 1, precision: "f32" });
  try {
    const causal = supports(model, "clm");
    const b = new ProgramBuilder();
    const objective = causal ? "clm" : "mlm";
    const { loss } = buildLoss(b, model, { objective, batch, length, perSequence: predicted.length, documents });
    b.output("loss", loss);
    for (const parameter of model.parameters) {
      await engine.write(parameter.name, shapeOf(parameter), await weights.readF32(parameter.name));
    }
    const ids = Int32Array.from({ length }, (_, i) => (i < boundary ? first[i] : 20 + 3 * i));
    const of = Int32Array.from({ length }, (_, i) => Number(i >= boundary));
    const at = Int32Array.from(predicted);
    const given: Record<string, TensorData> = causal
      ? {
          labels: ids.map((_, i) => ids[(i + 1) % length]),
          weights: Float32Array.from(ids, (_, i) => Number(i >= boundary && i + 1 < length)),
        }
      : { gather: at, labels: at.map((i) => ids[i] + 1), weights: new Float32Array(predicted.length).fill(1) };
    const inputs = {
      ids,
      ...given,
      ...(documents ? { documents: of } : {}),
      ...(documents && !causal ? { gathered_documents: at.map((i) => of[i]) } : {}),
    };
    const executable = await engine.compile(b.build());
    return (await executable.run(inputs)).loss[0];
  } finally {
    await engine.close();
    await close();
  }
}

describe.each(["bert-tiny", "roberta-tiny", "gpt2-tiny"])("%s", (name) => {
  const [one, other] = [
    [11, 12, 13, 14, 15],
    [31, 42, 53, 64, 75],
  ];
  test("reads nothing of another document", async () => {
    expect(await lossAfter(name, true, one)).toBe(await lossAfter(name, true, other));
  });
  test("reads it where they are joined", async () => {
    const difference = (await lossAfter(name, false, one)) - (await lossAfter(name, false, other));
    expect(Math.abs(difference)).toBeGreaterThan(1e-4);
  });
});
