/**
 * Batches: a pure function of (seed, step, micro-batch), whatever came before and however many threads run.
 *
 * Sequence g of a run (g counts sequences, over steps and their micro-batches) is place g mod n of epoch ⌊g / n⌋'s order.
 * Objectives:
 * - "mlm": [CLS] body [SEP], masked dynamically; the head runs at `perSequence` gathered positions of each sequence;
 * - "clm": the body itself; the label of a position is the next token, the last position has none (as transformers
 *   counts: the mean is over length − 1).
 */
import { UserError } from "../util/errors.ts";
import { RandomStream } from "../util/random.ts";
import type { Dataset, Part } from "./dataset.ts";
import { type Masker, maskedCount, maskerFor } from "./masking.ts";
import { Permutation } from "./order.ts";

export type Objective = "mlm" | "clm";

export interface BatchShape {
  /** Sequences of a micro-batch. */
  readonly sequences: number;
  /** Micro-batches of a step. */
  readonly accumulate: number;
  /** Share of the maskable tokens that is predicted ("mlm"). */
  readonly masked: number;
}

/** One micro-batch of B sequences of T tokens; row-major. */
export interface Batch {
  /** [B · T] */
  readonly ids: Int32Array;
  /** mlm: the flat positions in [B · T] that are predicted, `perSequence` of each sequence, not descending: [B · P]. */
  readonly gather?: Int32Array;
  /** The token at each gathered position, or at each position: [B · P] or [B · T]. */
  readonly labels: Int32Array;
  /**
   * As labels. In training 1 / (what the whole step counts), so that losses and gradients of micro-batches just add; in
   * validation 1. Where nothing is to be predicted: 0.
   */
  readonly weights: Float32Array;
  /** B · T, without the rows that fill up a last batch. */
  readonly tokens: number;
  /** The part's sequences in the batch, those that fill it up left out. */
  readonly examples: readonly number[];
}

export interface TrainingBatchOptions {
  readonly objective: Objective;
  /** 0 … 2^53 − 1 */
  readonly seed: number;
  /** From 0. */
  readonly step: number;
  /** 0 … accumulate − 1 */
  readonly micro: number;
  readonly batch: BatchShape;
}

/** What a run's length in steps, tokens or epochs is resolved with. */
export interface DataSize {
  /** Training sequences, each seen once an epoch. */
  readonly sequences: number;
  readonly validationSequences: number;
  readonly tokensPerStep: number;
  /** Steps of an epoch; not whole as a rule. */
  readonly stepsPerEpoch: number;
  /** Positions of a sequence that are predicted: P for "mlm", length − 1 for "clm". */
  readonly perSequence: number;
}

/** @throws UserError if the data does not serve the objective or holds no full sequence */
export function dataSize(dataset: Dataset, objective: Objective, batch: BatchShape): DataSize {
  const body = bodyLength(dataset, objective);
  const sequences = dataset.train.sequences(body);
  if (sequences === 0) throw noSequence(dataset, "training", body);
  return {
    sequences,
    validationSequences: dataset.validation.sequences(body),
    tokensPerStep: batch.sequences * batch.accumulate * dataset.info.length,
    stepsPerEpoch: sequences / (batch.sequences * batch.accumulate),
    perSequence: objective === "mlm" ? perSequence(dataset, batch.masked) : dataset.info.length - 1,
  };
}

/** The masked positions of a full block: what a sequence has at most, and a program is built for. */
export function perSequence(dataset: Dataset, masked: number): number {
  if (!(masked > 0 && masked <= 1)) {
    throw new UserError(`a share of ${masked}`, "batch.masked", "it is a share above 0 and at most 1, such as 0.15");
  }
  return maskedCount(masked, bodyLength(dataset, "mlm"));
}

/** Micro-batch `micro` of step `step`. */
export function trainingBatch(dataset: Dataset, options: TrainingBatchOptions): Batch {
  const { objective, seed, step, micro, batch } = options;
  const body = bodyLength(dataset, objective);
  const count = dataset.train.sequences(body);
  if (count === 0) throw noSequence(dataset, "training", body);
  const examples = (of: number) =>
    places(seed, (step * batch.accumulate + of) * batch.sequences, batch.sequences, count);
  const rows = examples(micro);
  if (objective === "clm") {
    const counted = batch.accumulate * batch.sequences * (body - 1);
    return causal(dataset.train, rows, batch.sequences, body, 1 / counted);
  }
  const masker = maskerOf(dataset, batch.masked);
  let counted = 0;
  for (let other = 0; other < batch.accumulate; other++) {
    for (const row of examples(other)) counted += countMasked(dataset.train, row, body, masker, batch.masked);
  }
  const random = new RandomStream(seed, "masking", step);
  const weight = 1 / Math.max(1, counted);
  return maskedBatch(dataset, dataset.train, rows, batch, masker, random, micro * batch.sequences, weight);
}

/**
 * The validation part in order, with masks that no seed changes, so that any two runs are measured on the same
 * predictions. The last batch is filled up with rows of weight 0.
 * @param options.limit the first so many sequences; default all
 */
export function* validationBatches(
  dataset: Dataset,
  options: { objective: Objective; batch: Pick<BatchShape, "sequences" | "masked">; limit?: number },
): Generator<Batch, void, undefined> {
  const { objective, batch } = options;
  const body = bodyLength(dataset, objective);
  const count = Math.min(options.limit ?? Number.POSITIVE_INFINITY, dataset.validation.sequences(body));
  if (count === 0) throw noSequence(dataset, "validation", body);
  const masker = objective === "mlm" ? maskerOf(dataset, batch.masked) : undefined;
  for (let start = 0; start < count; start += batch.sequences) {
    const rows = Array.from({ length: Math.min(batch.sequences, count - start) }, (_, i) => start + i);
    if (masker === undefined) {
      yield causal(dataset.validation, rows, batch.sequences, body, 1);
    } else {
      const random = new RandomStream(0, "validation masking");
      yield maskedBatch(dataset, dataset.validation, rows, batch, masker, random, start, 1);
    }
  }
}

/** Tokens of a sequence that come from the flat file. */
function bodyLength(dataset: Dataset, objective: Objective): number {
  const { length } = dataset.info;
  return objective === "mlm" ? length - 2 : length;
}

function epochOrder(sequences: number, seed: number, epoch: number): Permutation {
  return new Permutation(sequences, new RandomStream(seed, "epoch order", epoch));
}

/** The sequences at `count` places of the run from place `start`. */
function places(seed: number, start: number, count: number, sequences: number): number[] {
  const rows: number[] = [];
  let epoch = -1;
  let order = epochOrder(sequences, seed, 0);
  for (let place = start; place < start + count; place++) {
    const of = Math.floor(place / sequences);
    if (of !== epoch) {
      epoch = of;
      order = epochOrder(sequences, seed, epoch);
    }
    rows.push(order.at(place - epoch * sequences));
  }
  return rows;
}

function maskerOf(dataset: Dataset, masked: number): Masker {
  const { tokenizer } = dataset.info;
  const { cls, sep, mask } = tokenizer.special;
  if (cls === undefined || sep === undefined || mask === undefined) {
    const missing = cls === undefined ? "classification" : sep === undefined ? "separator" : "mask";
    const wayOut = "prepare the data with a BERT or RoBERTa tokenizer, or train with objective clm";
    throw new UserError(`its tokenizer has no ${missing} token, which objective mlm needs`, dataset.folder, wayOut);
  }
  return maskerFor(tokenizer, mask, masked);
}

function countMasked(part: Part, row: number, body: number, masker: Masker, share: number): number {
  const ids = new Int32Array(body);
  part.read(row, body, ids, 0);
  return maskedCount(share, masker.maskable(ids, 0, body));
}

function maskedBatch(
  dataset: Dataset,
  part: Part,
  examples: readonly number[],
  batch: Pick<BatchShape, "sequences" | "masked">,
  masker: Masker,
  random: RandomStream,
  firstSlot: number,
  weight: number,
): Batch {
  const { length, tokenizer } = dataset.info;
  const { cls = 0, sep = 0 } = tokenizer.special;
  const body = length - 2;
  const per = perSequence(dataset, batch.masked);
  const ids = new Int32Array(batch.sequences * length);
  const gather = new Int32Array(batch.sequences * per);
  const labels = new Int32Array(batch.sequences * per);
  const weights = new Float32Array(batch.sequences * per);
  for (let row = 0; row < batch.sequences; row++) {
    const start = row * length;
    ids[start] = cls;
    ids[start + length - 1] = sep;
    const fillsUp = row >= examples.length;
    part.read(fillsUp ? examples[0] : examples[row], body, ids, start + 1);
    let at = row * per;
    if (!fillsUp) {
      masker.mask(ids, start + 1, start + 1 + body, random, (firstSlot + row) * 4 * length, (position, token) => {
        gather[at] = position;
        labels[at] = token;
        weights[at++] = weight;
      });
    }
    // A block with separators in it has fewer: the last position again, or the first of the sequence, for nothing.
    const last = at > row * per ? gather[at - 1] : start;
    for (; at < (row + 1) * per; at++) {
      gather[at] = last;
      labels[at] = ids[last];
    }
  }
  return { ids, gather, labels, weights, tokens: examples.length * length, examples };
}

function causal(part: Part, examples: readonly number[], sequences: number, length: number, weight: number): Batch {
  const ids = new Int32Array(sequences * length);
  const labels = new Int32Array(sequences * length);
  const weights = new Float32Array(sequences * length);
  for (let row = 0; row < sequences; row++) {
    const start = row * length;
    const fillsUp = row >= examples.length;
    part.read(fillsUp ? examples[0] : examples[row], length, ids, start);
    labels.set(ids.subarray(start + 1, start + length), start);
    if (!fillsUp) weights.fill(weight, start, start + length - 1);
  }
  return { ids, labels, weights, tokens: examples.length * length, examples };
}

function noSequence(dataset: Dataset, part: string, body: number): UserError {
  const wayOut = "prepare more text, a shorter --length, or a larger --validation share";
  return new UserError(`its ${part} part holds no full sequence of ${body} tokens`, dataset.folder, wayOut);
}
