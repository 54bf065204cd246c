import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Batch, predictedOf } from "../../../src/data/batch/batch.ts";
import { dataSize, trainingBatch, validationBatches } from "../../../src/data/batch/batches.ts";
import { maskedCount } from "../../../src/data/batch/masking.ts";
import { openDataset } from "../../../src/data/prepared/dataset.ts";
import { Positions } from "../../../src/data/prepared/positions.ts";
import { UserError } from "../../../src/util/errors.ts";
import { temporaryFolder } from "../../support.ts";
import { type Document, separator, writeDocuments } from "../documents.ts";

const folder = temporaryFolder();
const objective = "mlm+nsp";
const tokenizer = {
  hash: "",
  vocabulary: 100_000,
  special: { pad: 0, unk: 1, cls: 2, sep: separator, mask: 4 },
  specialIds: [0, 1, 2, 3, 4],
};

/** Documents of lines of these lengths; every token is 5 + its place in the part, so that a token says where it is from. */
function numbered(lengths: readonly (readonly number[])[]): Document[] {
  let place = 0;
  return lengths.map((lines) => {
    const document = lines.map((length) => Array.from({ length }, () => 5 + place++));
    place++;
    return document;
  });
}

let made = 0;
async function dataset(
  train: readonly (readonly number[])[],
  validation: readonly (readonly number[])[],
  length: number,
) {
  const path = join(folder, `data-${made++}`);
  writeDocuments(path, numbered(train), numbered(validation), length, tokenizer);
  return openDataset(path);
}

/** Where documents and lines start, in places. */
function startsOf(lengths: readonly (readonly number[])[]) {
  let place = 0;
  const documents: { start: number; end: number; lines: number[] }[] = [];
  for (const lines of lengths) {
    const document = { start: place, end: 0, lines: [] as number[] };
    for (const length of lines) {
      document.lines.push(place);
      place += length;
    }
    document.end = place++;
    documents.push(document);
  }
  return documents;
}

interface Seen {
  readonly first: number[];
  readonly second: number[];
  readonly isNext: boolean;
}

/** The batch's sequences with the masks undone, as places; every rule of their form is checked on the way. */
function sequencesOf(batch: Batch, length: number, masked: number, weight: number): Seen[] {
  const { ids, types, mask, gather, labels, weights, nsp } = batch;
  if (types === undefined || mask === undefined || gather === undefined || nsp === undefined)
    throw new Error("no pairs");
  const rows = nsp.labels.length;
  const per = gather.length / rows;
  return batch.examples.map((_, row) => {
    const restored = ids.slice(row * length, (row + 1) * length);
    const chosen: number[] = [];
    for (let i = row * per; i < (row + 1) * per; i++) {
      if (weights[i] === 0) continue;
      chosen.push(gather[i] - row * length);
      restored[gather[i] - row * length] = labels[i];
    }
    const used = mask.subarray(row * length, (row + 1) * length).indexOf(0);
    const end = used < 0 ? length : used;
    const middle = restored.indexOf(separator);
    expect(restored[0]).toBe(2);
    expect(restored[end - 1]).toBe(separator);
    expect(Array.from(restored.subarray(end)).every((id) => id === 0)).toBe(true);
    const wanted = (of: (i: number) => boolean) => Array.from(restored, (_, i) => (of(i) ? 1 : 0));
    const given = (values: Int32Array | Float32Array) => Array.from(values.subarray(row * length, (row + 1) * length));
    expect(given(mask)).toEqual(wanted((i) => i < end));
    expect(given(types)).toEqual(wanted((i) => i > middle && i < end));
    const first = Array.from(restored.subarray(1, middle), (id) => id - 5);
    const second = Array.from(restored.subarray(middle + 1, end - 1), (id) => id - 5);
    // Predicted: exactly the share of the tokens, each once, none of them special or padding.
    expect(chosen).toHaveLength(maskedCount(masked, first.length + second.length));
    expect(new Set(chosen).size).toBe(chosen.length);
    expect(chosen.every((place) => place > 0 && place !== middle && place < end - 1)).toBe(true);
    expect(nsp.weights[row]).toBeCloseTo(weight, 6);
    return { first, second, isNext: nsp.labels[row] === 0 };
  });
}

const corpora = fc
  .array(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }), { minLength: 2, maxLength: 30 })
  .filter((documents) => documents.some((lines) => lines.length > 1));

test("A ends where a line ends; B is what follows it, or as much from a line's start in another document", async () => {
  await fc.assert(
    fc.asyncProperty(
      corpora,
      fc.integer({ min: 8, max: 64 }),
      fc.nat(2 ** 31),
      fc.nat(10_000),
      fc.constantFrom(0.15, 0.5),
      async (lengths, length, seed, step, masked) => {
        const data = await dataset(lengths, lengths, length);
        const body = length - 3;
        const batch = { sequences: 8, accumulate: 2, masked };
        if (data.train.sequences(body) === 0) {
          expect(() => dataSize(data, objective, batch)).toThrow(UserError);
          data.close();
          return;
        }
        expect(dataSize(data, objective, batch).perSequence).toBe(maskedCount(masked, body));
        const documents = startsOf(lengths);
        const of = (place: number) => documents.findIndex(({ start, end }) => place >= start && place < end);
        let total = 0;
        for (const micro of [0, 1]) {
          const made = trainingBatch(data, { objective, seed, step, micro, batch });
          total += made.weights.reduce((sum, weight) => sum + weight, 0);
          for (const { first, second, isNext } of sequencesOf(made, length, masked, 1 / 16)) {
            const [a, b] = [first, second].map((places) => of(places[0]));
            // Each lies in one document and leaves nothing out.
            for (const places of [first, second]) {
              expect(places).toEqual(Array.from({ length: places.length }, (_, i) => places[0] + i));
              expect(of(places[places.length - 1])).toBe(of(places[0]));
            }
            const after = first[first.length - 1] + 1;
            expect(documents[a].lines).toContain(after);
            expect(documents[b].lines).toContain(second[0]);
            expect(isNext).toBe(a === b);
            const size = documents[a].end - documents[a].start;
            if (isNext) {
              expect(second[0]).toBe(after);
              expect(first.length + second.length).toBe(Math.min(body, size));
            } else {
              // As long as the true one would have been, where its document has as much.
              const wanted = Math.min(body, size) - first.length;
              expect(second.length).toBe(Math.min(wanted, documents[b].end - documents[b].start));
            }
          }
        }
        expect(total).toBeCloseTo(1, 5);
        data.close();
      },
    ),
    { numRuns: 60 },
  );
});

test("half of the pairs are true, and every document of two lines has its turn", async () => {
  const lengths = Array.from({ length: 40 }, (_, i) =>
    Array.from({ length: 1 + (i % 4) }, (_, j) => 5 + ((i * 7 + j) % 9)),
  );
  const data = await dataset(lengths, [], 32);
  const documents = startsOf(lengths);
  const batch = { sequences: 50, accumulate: 1, masked: 0.15 };
  let next = 0;
  const asFirst = new Set<number>();
  const asSecond = new Set<number>();
  for (let step = 0; step < 60; step++) {
    const made = trainingBatch(data, { objective, seed: 3, step, micro: 0, batch });
    for (const { first, second, isNext } of sequencesOf(made, 32, 0.15, 1 / 50)) {
      if (isNext) next++;
      asFirst.add(documents.findIndex(({ end }) => first[0] < end));
      if (!isNext) asSecond.add(documents.findIndex(({ end }) => second[0] < end));
    }
  }
  // 3,000 pairs: 1,500 ± 27; four deviations.
  expect(Math.abs(next - 1500)).toBeLessThan(110);
  const wanted = lengths.flatMap((lines, i) => (lines.length > 1 ? [i] : []));
  expect([...asFirst].sort((a, b) => a - b)).toEqual(wanted);
  expect(asSecond.size).toBe(40);
  data.close();
});

test("a batch is a function of seed, step and micro-batch, whatever came before", async () => {
  const lengths = Array.from({ length: 30 }, (_, i) => [9 + (i % 5), 8, 7]);
  const options = { objective, seed: 11, batch: { sequences: 4, accumulate: 3, masked: 0.15 } } as const;
  const data = await dataset(lengths, lengths, 24);
  const inOrder = Array.from({ length: 12 }, (_, i) =>
    trainingBatch(data, { ...options, step: Math.floor(i / 3), micro: i % 3 }),
  );
  const again = await openDataset(data.folder);
  for (const i of [11, 4, 0, 7, 5]) {
    expect(trainingBatch(again, { ...options, step: Math.floor(i / 3), micro: i % 3 })).toEqual(inOrder[i]);
  }
  expect(trainingBatch(again, { ...options, seed: 12, step: 0, micro: 0 })).not.toEqual(inOrder[0]);
  // An example that comes again in a later epoch has another pair.
  const epoch = Math.ceil(data.train.sequences(21) / 12);
  const later = Array.from({ length: 3 * epoch }, (_, i) =>
    trainingBatch(data, { ...options, step: epoch + Math.floor(i / 3), micro: i % 3 }),
  );
  const pairOf = (batches: readonly Batch[], example: number) =>
    batches.flatMap((made) =>
      sequencesOf(made, 24, 0.15, 1 / 12).filter((_, row) => made.examples[row] === example),
    )[0];
  const example = inOrder[0].examples[0];
  expect(pairOf(later, example)).toBeDefined();
  expect(pairOf(later, example)).not.toEqual(pairOf(inOrder, example));
  data.close();
  again.close();
});

test("validation: the same pairs and masks always, whatever the batch size", async () => {
  const lengths = Array.from({ length: 12 }, () => [10, 11, 12]);
  const data = await dataset(lengths, lengths, 24);
  const run = (sequences: number) => [...validationBatches(data, { objective, batch: { sequences, masked: 0.15 } })];
  const rows = (batches: readonly Batch[]) =>
    batches.flatMap((batch) =>
      batch.examples.map((_, row) => [
        Array.from(batch.ids.subarray(row * 24, row * 24 + 24)),
        batch.nsp?.labels[row],
        batch.nsp?.weights[row],
      ]),
    );
  const four = run(4);
  expect(rows(four)).toHaveLength(Math.floor((12 * 34) / 21));
  expect(rows(run(7))).toEqual(rows(four));
  const last = run(7)[2];
  expect(last.examples).toHaveLength(5);
  expect(Array.from(last.nsp?.weights ?? [])).toEqual([1, 1, 1, 1, 1, 0, 0]);
  expect(last.weights.reduce((sum, weight) => sum + weight, 0)).toBe(
    5 * predictedOf(data.info.length, objective, 0.15),
  );
  data.close();
});

test("data without pairs is refused in one sentence", async () => {
  const batch = { sequences: 2, accumulate: 1, masked: 0.15 };
  const refusal = async (train: number[][], validation: number[][], spoil: (path: string) => void = () => {}) => {
    const data = await dataset(train, validation, 16);
    spoil(data.folder);
    try {
      dataSize(data, objective, batch);
    } catch (error) {
      if (error instanceof UserError) return error.message;
      throw error;
    } finally {
      data.close();
    }
    throw new Error("it was accepted");
  };
  const good = [
    [20, 20],
    [20, 20],
  ];
  expect(await refusal([[50, 50]], good)).toContain("its training part holds a single document");
  expect(await refusal([[50], [50]], good)).toContain("no document of two lines");
  expect(await refusal(good, [[50, 9]])).toContain("its validation part holds a single document");
  expect(await refusal(good, good, (path) => rmSync(join(path, "train.lines")))).toContain("train.lines");
  const positions = BigUint64Array.of(0n, 5n, 41n, 62n, 83n);
  const short = (path: string) => writeFileSync(join(path, "train.lines"), positions.subarray(0, 4));
  expect(await refusal(good, good, short)).toContain("it is not what data.json says");
});

test("starts are found across pages, and a file that goes back is refused", async () => {
  const starts = Array.from({ length: 3000 }, (_, i) => 3 * i + (i % 3));
  const path = join(folder, "starts");
  writeFileSync(path, BigUint64Array.from(starts, BigInt));
  const positions = new Positions(path, 2999, starts[2999]);
  for (let token = 0; token <= starts[2999]; token++) {
    const wanted = Math.floor(token / 3) - (token < starts[Math.floor(token / 3)] ? 1 : 0);
    expect(positions.holding(token)).toBe(wanted);
    expect(positions.at(wanted)).toBe(starts[wanted]);
  }
  positions.close();
  writeFileSync(path, BigUint64Array.from([...starts.slice(0, 1500), 7, ...starts.slice(1501)], BigInt));
  expect(() => new Positions(path, 2999, starts[2999])).toThrow("it is not what data.json says");
});
