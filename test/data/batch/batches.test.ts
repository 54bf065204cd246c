import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Batch, predictedOf } from "../../../src/data/batch/batch.ts";
import { dataSize, trainingBatch, validationBatches } from "../../../src/data/batch/batches.ts";
import { maskerOf } from "../../../src/data/batch/rows.ts";
import { type Dataset, type DatasetInfo, infoJson, openDataset } from "../../../src/data/prepared/dataset.ts";
import { permutation } from "../../../src/data/prepared/order.ts";
import { UserError } from "../../../src/util/errors.ts";
import { RandomStream } from "../../../src/util/random.ts";
import { temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();
const SPECIAL = { pad: 0, unk: 1, cls: 2, sep: 3, mask: 4 };

/** A dataset of the given tokens (training and validation). */
function dataset(name: string, train: number[], validation: number[], length: number, vocabulary = 100) {
  const path = join(folder, name);
  mkdirSync(path);
  const width = vocabulary > 65536 ? 4 : 2;
  const bytes = (tokens: number[]) => (width === 2 ? Uint16Array.from(tokens) : Uint32Array.from(tokens));
  writeFileSync(join(path, "train.tokens"), bytes(train));
  writeFileSync(join(path, "validation.tokens"), bytes(validation));
  const part = (tokens: number[]) => ({ documents: 1, lines: 1, tokens: tokens.length });
  const info: DatasetInfo = {
    length,
    width,
    tokenizer: { hash: "", vocabulary, special: SPECIAL, specialIds: [0, 1, 2, 3, 4] },
    separator: 3,
    lineBreak: [],
    train: part(train),
    validation: part(validation),
    sources: [],
  };
  writeFileSync(join(path, "data.json"), JSON.stringify(infoJson(info)));
  return openDataset(path);
}

const numbers = (n: number, from = 0) => Array.from({ length: n }, (_, i) => 5 + ((from + i * 7) % 95));
const shape = { sequences: 4, accumulate: 2, masked: 0.15 };

/** The tokens before masking. */
function restored(batch: Batch): Int32Array {
  const ids = batch.ids.slice();
  batch.gather?.forEach((position, i) => {
    if (batch.weights[i] > 0) ids[position] = batch.labels[i];
  });
  return ids;
}

test("an epoch's order is a permutation, another one each epoch", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 0, max: 2 ** 50 }),
      fc.nat(9),
      (n, seed, epoch) => {
        const order = permutation(n, new RandomStream(seed, "order", epoch));
        const seen = new Set(Array.from({ length: n }, (_, place) => order(place)));
        expect(seen.size).toBe(n);
        expect(Math.max(...seen)).toBe(n - 1);
      },
    ),
    { numRuns: 60 },
  );
  const at = (epoch: number) =>
    Array.from({ length: 50 }, (_, place) => permutation(50, new RandomStream(3, "order", epoch))(place));
  expect(at(0)).toEqual(at(0));
  expect(at(0)).not.toEqual(at(1));
});

test("places are spread evenly: where a sequence goes is uniform over epochs", () => {
  const n = 23;
  const counts = new Array<number>(n * n).fill(0);
  const epochs = 2300;
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = permutation(n, new RandomStream(11, "order", epoch));
    for (let place = 0; place < n; place++) counts[place * n + order(place)]++;
  }
  // Chi-squared with (n − 1)² = 484 degrees of freedom: 484 ± 31; six deviations are allowed.
  const expected = epochs / n;
  const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(chi).toBeGreaterThan(484 - 190);
  expect(chi).toBeLessThan(484 + 190);
});

test("masked: an epoch shows every sequence once, between its special tokens", async () => {
  const tokens = numbers(30 * 32);
  const data = await dataset("mlm", tokens, numbers(100), 32);
  const size = dataSize(data, "mlm", shape);
  expect(size).toEqual({
    sequences: 32,
    validationSequences: 3,
    tokensPerStep: 256,
    stepsPerEpoch: 4,
    perSequence: 5,
  });
  const seen: number[] = [];
  for (let step = 0; step < 4; step++) {
    let total = 0;
    for (let micro = 0; micro < 2; micro++) {
      const batch = trainingBatch(data, { objective: "mlm", seed: 5, step, micro, batch: shape });
      expect(batch).toEqual(trainingBatch(data, { objective: "mlm", seed: 5, step, micro, batch: shape }));
      seen.push(...batch.examples);
      total += batch.weights.reduce((a, b) => a + b);
      const before = restored(batch);
      batch.examples.forEach((example, row) => {
        const sequence = Array.from(before.subarray(row * 32, row * 32 + 32));
        expect(sequence).toEqual([2, ...tokens.slice(example * 30, example * 30 + 30), 3]);
      });
      const gather = Array.from(batch.gather ?? []);
      expect(gather).toEqual(gather.toSorted((a, b) => a - b));
      expect(new Set(gather).size).toBe(20);
      expect(batch.tokens).toBe(128);
    }
    expect(total).toBeCloseTo(1, 6);
  }
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, i) => i));
  data.close();
});

test("the number masked is exactly round(share × maskable), special tokens never among them", async () => {
  // Every second block of 30 is half separators, one is nothing else.
  const tokens = numbers(30 * 12).map((id, i) => ((Math.floor(i / 30) % 2 === 1 && i % 2 === 0) || i < 30 ? 3 : id));
  const data = await dataset("separators", tokens, [], 32);
  for (const masked of [0.01, 0.15, 0.5, 1]) {
    const batch = { sequences: 12, accumulate: 1, masked };
    const per = predictedOf(data.info.length, "mlm", masked);
    expect(per).toBe(Math.max(1, Math.round(30 * masked)));
    const { gather, weights, examples, ids, labels } = trainingBatch(data, {
      objective: "mlm",
      seed: 1,
      step: 3,
      micro: 0,
      batch,
    });
    let counted = 0;
    examples.forEach((example, row) => {
      const maskable = tokens.slice(example * 30, example * 30 + 30).filter((id) => id > 4).length;
      const wanted = maskable === 0 ? 0 : Math.max(1, Math.round(maskable * masked));
      const places = weights.subarray(row * per, (row + 1) * per);
      expect(places.filter((weight) => weight > 0).length).toBe(wanted);
      counted += wanted;
      for (let i = row * per; i < (row + 1) * per; i++) {
        const position = gather?.[i] ?? -1;
        expect(Math.floor(position / 32)).toBe(row);
        if (weights[i] > 0) expect(labels[i]).toBeGreaterThan(4);
        else if (maskable === 0) expect(position).toBe(row * 32);
      }
      expect(ids[row * 32]).toBe(2);
    });
    for (const weight of weights) if (weight > 0) expect(weight).toBeCloseTo(1 / counted, 7);
  }
  data.close();
});

test("80 % become the mask, 10 % another token, 10 % stay; which ones differs from step to step", async () => {
  const data = await dataset("statistics", numbers(126 * 16), [], 128);
  const batch = { sequences: 16, accumulate: 1, masked: 0.15 };
  let masks = 0;
  let same = 0;
  let all = 0;
  const drawn = new Set<number>();
  const chosen = new Array<number>(128).fill(0);
  for (let step = 0; step < 300; step++) {
    const { ids, gather, labels } = trainingBatch(data, { objective: "mlm", seed: 9, step, micro: 0, batch });
    gather?.forEach((position, i) => {
      all++;
      chosen[position % 128]++;
      if (ids[position] === 4) masks++;
      else if (ids[position] === labels[i]) same++;
      else drawn.add(ids[position]);
    });
  }
  expect(all).toBe(300 * 16 * 19);
  // A replacement may equal what stood there (1 in 95), hence 0.101. Deviations: 0.0013 and 0.001.
  expect(masks / all).toBeGreaterThan(0.792);
  expect(masks / all).toBeLessThan(0.808);
  expect(same / all).toBeGreaterThan(0.095);
  expect(same / all).toBeLessThan(0.107);
  expect([...drawn].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 95 }, (_, i) => i + 5));
  // Each of the 126 inner positions equally often: 724 ± 25.
  expect([chosen[0], chosen[127]]).toEqual([0, 0]);
  expect(Math.min(...chosen.slice(1, 127))).toBeGreaterThan(724 - 150);
  expect(Math.max(...chosen.slice(1, 127))).toBeLessThan(724 + 150);
  data.close();
});

test("causal: the label is the next token, the last position has none", async () => {
  const tokens = numbers(70_000, 3).map((id, i) => id + (i % 3) * 30_000);
  const data = await dataset("clm", tokens, numbers(40), 16, 70_000);
  expect(data.info.width).toBe(4);
  const batch = trainingBatch(data, { objective: "clm", seed: 2, step: 7, micro: 1, batch: shape });
  expect(batch.gather).toBeUndefined();
  batch.examples.forEach((example, row) => {
    const body = tokens.slice(example * 16, example * 16 + 16);
    expect(Array.from(batch.ids.subarray(row * 16, row * 16 + 16))).toEqual(body);
    expect(Array.from(batch.labels.subarray(row * 16, row * 16 + 15))).toEqual(body.slice(1));
    expect(batch.weights[row * 16 + 15]).toBe(0);
    expect(batch.weights[row * 16]).toBeCloseTo(1 / (2 * 4 * 15), 8);
  });
  data.close();
});

test("validation: in order, the same masks always, the last batch filled up with nothing", async () => {
  const data = await dataset("validation", numbers(60), numbers(30 * 6 + 5), 32);
  const run = (sequences: number, limit?: number) => [
    ...validationBatches(data, { objective: "mlm", batch: { sequences, masked: 0.15 }, limit }),
  ];
  const four = run(4);
  expect(four.map((batch) => batch.examples)).toEqual([
    [0, 1, 2, 3],
    [4, 5],
  ]);
  expect(four[1].tokens).toBe(64);
  expect(Array.from(four[1].weights)).toEqual([...new Array(10).fill(1), ...new Array(10).fill(0)]);
  expect(run(4)).toEqual(four);
  // The masks do not depend on the batch size.
  const rows = (batches: Batch[]) =>
    batches.flatMap((batch) => batch.examples.map((_, row) => Array.from(batch.ids.subarray(row * 32, row * 32 + 32))));
  expect(rows(run(3))).toEqual(rows(four));
  expect(run(4, 5).flatMap((batch) => batch.examples)).toEqual([0, 1, 2, 3, 4]);
  const causal = [...validationBatches(data, { objective: "clm", batch: { sequences: 4, masked: 0.15 } })];
  expect(causal.flatMap((batch) => batch.examples)).toEqual([0, 1, 2, 3, 4]);
  expect(causal[1].weights.reduce((a, b) => a + b)).toBe(31);
  data.close();
});

test("what data can't serve is refused", async () => {
  const data = await dataset("short", numbers(29), numbers(3), 32);
  const options = { objective: "mlm", seed: 0, step: 0, micro: 0, batch: shape } as const;
  expect(() => trainingBatch(data, options)).toThrow(UserError);
  expect(() => [...validationBatches(data, { objective: "mlm", batch: shape })]).toThrow(UserError);
  expect(() => maskerOf(data, 0, "mlm")).toThrow(UserError);
  const without: Dataset = {
    ...data,
    info: { ...data.info, length: 8, tokenizer: { ...data.info.tokenizer, special: { eos: 3 } } },
  };
  expect(() => trainingBatch(without, options)).toThrow(/no classification token/);
  await expect(openDataset(folder)).rejects.toThrow(/no prepared data/);
  writeFileSync(join(data.folder, "train.tokens"), "x");
  await expect(openDataset(data.folder)).rejects.toThrow(/its size is not what data.json says/);
  writeFileSync(join(data.folder, "data.json"), "{}");
  await expect(openDataset(data.folder)).rejects.toThrow(UserError);
  data.close();
});

test("documents apart are numbered within their sequence, before anything is masked", async () => {
  // Sequences of 8 tokens are 6 of the flat file with [CLS] and [SEP], or all 8 of it.
  const train = [10, 11, 3, 12, 13, 3, 14, 15, 16, 17, 18, 19];
  const data = await dataset("apart", [...train, ...train], train, 8);
  const form = { sequences: 1, masked: 0.5, documents: "apart" } as const;
  const [first, second] = [...validationBatches(data, { objective: "mlm", batch: form })];
  expect([...(first.documents ?? [])]).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
  expect([...(second.documents ?? [])]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  expect(first.gatheredDocuments).toEqual(first.gather?.map((position) => first.documents?.[position] ?? -1));
  const [causal] = [...validationBatches(data, { objective: "clm", batch: form })];
  expect([...(causal.documents ?? [])]).toEqual([0, 0, 0, 1, 1, 1, 2, 2]);
  const joined = trainingBatch(data, {
    objective: "clm",
    seed: 1,
    step: 0,
    micro: 0,
    batch: { ...shape, sequences: 1 },
  });
  expect(joined.documents).toBeUndefined();
  const batch = { ...shape, ...form };
  const { ids, documents } = trainingBatch(data, { objective: "clm", seed: 1, step: 0, micro: 0, batch });
  let document = 0;
  for (const [i, id] of ids.entries()) {
    expect(documents?.[i]).toBe(document);
    if (id === 3) document++;
  }
  expect(() => dataSize(data, "mlm+nsp", batch)).toThrow(UserError);
});
