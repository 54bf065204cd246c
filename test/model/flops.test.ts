import { expect, test } from "vitest";
import { bert } from "../../src/model/bert.ts";
import { paperFlops } from "../../src/model/flops.ts";
import { gpt2 } from "../../src/model/gpt2.ts";

const base = bert.model({}, "base");
const large = bert.model(bert.resize(base.config, { layers: 24, hidden: 1024, heads: 16, ffn: 4096 }), "large");
const step = { sequences: 256, length: 512, predicted: 77, nsp: false };

// Published for a million steps of 256 sequences of 512 tokens (ELECTRA, table 1 and appendix): BERT-base 6.4e19,
// BERT-large 1.9e20.
test("BERT-base and BERT-large cost what the literature says", () => {
  expect((1e6 * paperFlops(base, step).total).toExponential(1)).toBe("6.4e+19");
  expect((1e6 * paperFlops(large, step).total).toExponential(1)).toBe("1.9e+20");
});

test("backward costs as forward where everything trains", () => {
  const { forward, backward, total } = paperFlops(base, step);
  expect(backward).toBe(forward);
  expect(total).toBe(2 * forward);
});

test("a stage pays backward for what it trains and for the head alone", () => {
  const three = { ...step, layers: 3 };
  const all = paperFlops(base, three);
  const bottom = paperFlops(base, { ...step, layers: 6, trainFrom: 3 });
  const block = paperFlops(base, { ...step, layers: 4 }).forward - all.forward;
  expect(bottom.forward).toBeCloseTo(all.forward + 3 * block, -6);
  // Without the embeddings, which a stage that trains the bottom block pays for.
  const embeddings = all.backward - bottom.backward;
  expect(embeddings / (256 * 512 * 2 * 768 * 30522)).toBeGreaterThan(1);
  expect(embeddings / (256 * 512 * 2 * 768 * 30522)).toBeLessThan(1.03);
});

test("what the gradient only passes pays half of what trains, and the embeddings below nothing", () => {
  const whole = paperFlops(base, { ...step, layers: 6 });
  const block = whole.forward - paperFlops(base, { ...step, layers: 5 }).forward;
  const top = paperFlops(base, { ...step, layers: 6, trainFrom: 3 });
  const head = top.backward - 3 * block;
  // Blocks 1 and 3 of 0 … 5: those from 1 on are reached.
  const two = paperFlops(base, { ...step, layers: 6, trainFrom: 1, train: 2, head: false });
  expect(two.forward).toBe(whole.forward);
  expect(two.backward / (2 * block + 3 * (block / 2) + head / 2)).toBeCloseTo(1, 9);
  const bottom = paperFlops(base, { ...step, layers: 6, trainFrom: 0, train: 1 });
  expect(bottom.backward / (block + 5 * (block / 2) + head)).toBeCloseTo(1, 9);
});

test("a causal model's head runs at every position", () => {
  const model = gpt2.model({}, "gpt2");
  const shape = { sequences: 1, length: 128, predicted: 128, nsp: false };
  const difference = paperFlops(model, shape).forward - paperFlops(model, { ...shape, predicted: 28 }).forward;
  expect(difference).toBe(100 * (2 * 768 * 50257 + 5 * 50257 + 5 * 768));
});

test("the next-sentence head is counted where it runs", () => {
  const both = bert.model({ architectures: ["BertForPreTraining"] }, "base");
  const difference = paperFlops(both, { ...step, nsp: true }).forward - paperFlops(both, step).forward;
  expect(difference).toBe(256 * (2 * 768 * 768 + 768 + 8 * 768 + 2 * 2 * 768 + 2 + 10));
});
