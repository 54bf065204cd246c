import { describe, expect, test } from "vitest";
import { bert } from "../../src/model/bert.ts";
import { gpt2 } from "../../src/model/gpt2.ts";
import { initialise } from "../../src/model/init.ts";
import { roberta } from "../../src/model/roberta.ts";
import { type Axis, elements, runsAlong } from "../../src/model/table.ts";
import { RandomStream } from "../../src/util/random.ts";

const small = {
  vocab_size: 200,
  num_hidden_layers: 2,
  hidden_size: 64,
  num_attention_heads: 4,
  intermediate_size: 128,
};
const models = [
  bert.model({ ...small, pad_token_id: 3 }, "bert"),
  roberta.model(small, "roberta"),
  gpt2.model({ vocab_size: 200, n_layer: 2, n_embd: 64, n_head: 4 }, "gpt2"),
];

function spread(values: Float32Array): { mean: number; std: number } {
  let sum = 0;
  let squares = 0;
  for (const value of values) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / values.length;
  return { mean, std: Math.sqrt(squares / values.length - mean * mean) };
}

describe.each(models.map((model) => [model.architecture.type, model] as const))("%s", (_, model) => {
  test("matrices are spread as their init says, biases 0, gains 1", () => {
    for (const parameter of model.parameters) {
      const values = initialise(parameter, 1);
      expect(values.length).toBe(elements(parameter));
      if (parameter.init.kind === "constant") {
        expect(values.every((value) => value === (parameter.part === "norm-gain" ? 1 : 0))).toBe(true);
      } else if (parameter.init.kind === "normal") {
        const { mean, std } = spread(values);
        const error = 5 / Math.sqrt(values.length);
        expect(Math.abs(mean) / parameter.init.std).toBeLessThan(error);
        expect(Math.abs(std / parameter.init.std - 1)).toBeLessThan(error + 1 / parameter.dims[0].size);
      }
    }
  });

  test("any slice can be drawn by itself", () => {
    for (const parameter of model.parameters) {
      const whole = initialise(parameter, 7);
      for (const [start, count] of [
        [0, 5],
        [1, 64],
        [3, 1],
        [whole.length - 9, 9],
        [0, 0],
      ]) {
        const from = Math.min(start, whole.length);
        const length = Math.min(count, whole.length - from);
        expect(initialise(parameter, 7, from, length)).toEqual(whole.subarray(from, from + length));
      }
    }
  });
});

test("the padding id's row is zero, and that row alone", () => {
  const zeroRows = (model: (typeof models)[number], axis: Axis) => {
    const table = model.parameters.find((parameter) => runsAlong(parameter.dims[0], axis));
    if (table === undefined) throw new Error(`no ${axis} table`);
    const values = initialise(table, 1);
    const rows = Array.from({ length: table.dims[0].size }, (_, row) => values.subarray(row * 64, row * 64 + 64));
    return rows.flatMap((row, index) => (row.every((value) => value === 0) ? [index] : []));
  };
  expect(zeroRows(models[0], "vocab")).toEqual([3]);
  expect(zeroRows(models[0], "position")).toEqual([]);
  expect(zeroRows(models[1], "vocab")).toEqual([1]);
  expect(zeroRows(models[1], "position")).toEqual([1]);
  expect(zeroRows(models[2], "vocab")).toEqual([]);
});

test("GPT-2's stream-writing matrices start narrower by the root of twice the layers", () => {
  for (const parameter of models[2].parameters.filter((one) => one.init.kind === "normal" && one.layer !== null)) {
    expect(parameter.init).toEqual({ kind: "normal", std: parameter.part === "branch-output" ? 0.01 : 0.02 });
  }
});

test("numbers are the stream's, and differ between seeds, layers and parameters", () => {
  const [first, second] = models[0].parameters.filter((one) => one.kind === "attention.self.query.weight");
  const stream = new RandomStream(5, "init/0/attention.self.query.weight");
  const expected = Float32Array.from({ length: 10 }, (_, i) => 0.02 * stream.normal(i));
  const values = initialise(first, 5);
  for (let i = 0; i < 10; i++) expect(values[i]).toBeCloseTo(expected[i], 8);
  expect(initialise(second, 5).subarray(0, 10)).not.toEqual(values.subarray(0, 10));
  expect(initialise(first, 6).subarray(0, 10)).not.toEqual(values.subarray(0, 10));
});
