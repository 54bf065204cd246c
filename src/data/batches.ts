/**
 * Batches: a pure function of (seed, step, micro-batch), whatever came before and however many threads run.
 *
 * Sequence g of a run (g counts sequences, over steps and their micro-batches) is place g mod n of epoch ⌊g / n⌋'s order.
 * Objectives:
 * - "mlm": [CLS] body [SEP], masked dynamically; the head runs at `perSequence` gathered positions of each sequence;
 * - "mlm+nsp": [CLS] A [SEP] B [SEP] and padding, masked alike, with the label of the pair (pairs.ts);
 * - "clm": the body itself; the label of a position is the next token, the last position has none (as transformers
 *   counts: the mean is over length − 1).
 */
import { type Objective, termsOf } from "../model/objectives.ts";
import { UserError } from "../util/errors.ts";
import { RandomStream } from "../util/random.ts";
import { numberDocuments, separatorOf } from "./apart.ts";
import type { Dataset } from "./dataset.ts";
import { type Masker, maskedCount, maskerFor } from "./masking.ts";
import { Permutation } from "./order.ts";
import { numbersOfPair, Pairs } from "./pairs.ts";

export type { Objective };

export interface BatchShape {
  /** Sequences of a micro-batch. */
  readonly sequences: number;
  /** Micro-batches of a step. */
  readonly accumulate: number;
  /** Share of the maskable tokens that is predicted (masked objectives). */
  readonly masked: number;
  /** Whether a sequence's documents see each other; default joined. */
  readonly documents?: "joined" | "apart";
}

/** One micro-batch of B sequences of T tokens; row-major. */
export interface Batch {
  /** [B · T] */
  readonly ids: Int32Array;
  /** Pairs: 0 for A and what stands before it, 1 for B: [B · T] */
  readonly types?: Int32Array;
  /** Pairs: 1 at a token, 0 at padding: [B · T] */
  readonly mask?: Float32Array;
  /** Masked: the flat positions in [B · T] that are predicted, `perSequence` of each sequence, not descending: [B · P]. */
  readonly gather?: Int32Array;
  /** The token at each gathered position, or at each position: [B · P] or [B · T]. */
  readonly labels: Int32Array;
  /**
   * As labels. In training 1 / (what the whole step counts), so that losses and gradients of micro-batches just add; in
   * validation 1. Where nothing is to be predicted: 0.
   */
  readonly weights: Float32Array;
  /** Documents apart: which of its sequence's a token belongs to, from 0, [B · T]; and for masked the gathered ones, [B · P]. */
  readonly documents?: Int32Array;
  readonly gatheredDocuments?: Int32Array;
  /** Pairs: 0 where B follows A, 1 where it does not (as transformers labels them), and weights as above: [B] each. */
  readonly nsp?: { readonly labels: Int32Array; readonly weights: Float32Array };
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
  /** Positions of a sequence that are predicted: P where they are masked, length − 1 for "clm". */
  readonly perSequence: number;
}

/** @throws UserError if the data does not serve the objective or holds no full sequence */
export function dataSize(dataset: Dataset, objective: Objective, batch: BatchShape): DataSize {
  const body = bodyLength(dataset, objective);
  const sequences = dataset.train.sequences(body);
  if (sequences === 0) throw noSequence(dataset, "training", body);
  if (hasPairs(objective) && batch.documents === "apart") {
    const wayOut =
      "leave batch.documents out: the parts of a pair come from where they are drawn, and must see each other";
    throw new UserError(`objective ${objective} has no documents to keep apart`, "batch.documents", wayOut);
  }
  const validationSequences = dataset.validation.sequences(body);
  // A tokenizer that can't mask is said now, not with the first batch.
  if (objective !== "clm") maskerOf(dataset, batch.masked, objective);
  if (hasPairs(objective)) {
    layoutOf(dataset, "train", objective, new RandomStream(0, PAIRS));
    if (validationSequences > 0) layoutOf(dataset, "validation", objective, new RandomStream(0, PAIRS));
  }
  return {
    sequences,
    validationSequences,
    tokensPerStep: batch.sequences * batch.accumulate * dataset.info.length,
    stepsPerEpoch: sequences / (batch.sequences * batch.accumulate),
    perSequence: objective === "clm" ? dataset.info.length - 1 : perSequence(dataset, batch.masked, objective),
  };
}

/** The masked positions of a full sequence: what one has at most, and a program is built for. */
export function perSequence(dataset: Dataset, masked: number, objective: Objective = "mlm"): number {
  if (!(masked > 0 && masked <= 1)) {
    throw new UserError(`a share of ${masked}`, "batch.masked", "it is a share above 0 and at most 1, such as 0.15");
  }
  return maskedCount(masked, bodyLength(dataset, objective));
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
    return causal(dataset, "train", rows, batch, 1 / counted);
  }
  const masker = maskerOf(dataset, batch.masked, objective);
  const layout = layoutOf(dataset, "train", objective, new RandomStream(seed, PAIRS, step));
  const scratch = new Int32Array(layout.length);
  let elsewhere = 0;
  for (let other = 0; other < batch.accumulate; other++) {
    if (other === micro) continue;
    for (const [row, example] of examples(other).entries()) {
      const { end } = layout.write(scratch, 0, example, other * batch.sequences + row);
      elsewhere += maskedCount(batch.masked, masker.maskable(scratch, 1, end));
    }
  }
  return maskedBatch(layout, rows, {
    ...batch,
    separator: separatorOf(dataset, batch),
    masker,
    per: perSequence(dataset, batch.masked, objective),
    random: new RandomStream(seed, "masking", step),
    firstSlot: micro * batch.sequences,
    weight: (predicted) => 1 / Math.max(1, elsewhere + predicted),
    pairWeight: 1 / (batch.accumulate * batch.sequences),
  });
}

/**
 * The validation part in order, with masks and pairs that no seed changes, so that any two runs are measured on the same
 * predictions. The last batch is filled up with rows of weight 0.
 * @param options.limit the first so many sequences; default all
 */
export function* validationBatches(
  dataset: Dataset,
  options: { objective: Objective; batch: Omit<BatchShape, "accumulate">; limit?: number },
): Generator<Batch, void, undefined> {
  const { objective, batch } = options;
  const body = bodyLength(dataset, objective);
  const count = Math.min(options.limit ?? Number.POSITIVE_INFINITY, dataset.validation.sequences(body));
  if (count === 0) throw noSequence(dataset, "validation", body);
  const rowsFrom = (start: number) =>
    Array.from({ length: Math.min(batch.sequences, count - start) }, (_, i) => start + i);
  if (objective === "clm") {
    for (let start = 0; start < count; start += batch.sequences) {
      yield causal(dataset, "validation", rowsFrom(start), batch, 1);
    }
    return;
  }
  const common = {
    sequences: batch.sequences,
    separator: separatorOf(dataset, batch),
    masker: maskerOf(dataset, batch.masked, objective),
    per: perSequence(dataset, batch.masked, objective),
    random: new RandomStream(0, "validation masking"),
    weight: () => 1,
    pairWeight: 1,
  };
  const layout = layoutOf(dataset, "validation", objective, new RandomStream(0, "validation pairs"));
  for (let start = 0; start < count; start += batch.sequences) {
    yield maskedBatch(layout, rowsFrom(start), { ...common, firstSlot: start });
  }
}

/** Tokens of a sequence that come from the flat file. */
function bodyLength(dataset: Dataset, objective: Objective): number {
  return bodyOf(dataset.info.length, objective);
}

/** Tokens of a sequence of `length` that are neither [CLS] nor [SEP]. */
function bodyOf(length: number, objective: Objective): number {
  if (objective === "clm") return length;
  return length - (hasPairs(objective) ? 3 : 2);
}

/** As DataSize's `perSequence`, known without the data. */
export function predictedOf(length: number, objective: Objective, masked: number): number {
  return objective === "clm" ? length - 1 : maskedCount(masked, bodyOf(length, objective));
}

function hasPairs(objective: Objective): boolean {
  return termsOf(objective).includes("nsp");
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

function maskerOf(dataset: Dataset, masked: number, objective: Objective): Masker {
  const { tokenizer } = dataset.info;
  const { cls, sep, mask } = tokenizer.special;
  if (cls === undefined || sep === undefined || mask === undefined) {
    const missing = cls === undefined ? "classification" : sep === undefined ? "separator" : "mask";
    const wayOut = "prepare the data with a BERT or RoBERTa tokenizer, or train with objective clm";
    throw new UserError(
      `its tokenizer has no ${missing} token, which objective ${objective} needs`,
      dataset.folder,
      wayOut,
    );
  }
  return maskerFor(tokenizer, mask, masked);
}

/** How a masked model's sequences are made of a part's tokens. */
interface Layout {
  /** Tokens of a sequence, special tokens included. */
  readonly length: number;
  readonly pairs: boolean;
  /**
   * Writes a sequence to `ids` from `at`. @param slot its place in the step: what is drawn for it is drawn there
   * @returns where it ends (padding follows) and, for a pair, where B begins and whether it follows A
   */
  write(ids: Int32Array, at: number, example: number, slot: number): Laid;
}

interface Laid {
  readonly end: number;
  readonly second?: number;
  readonly isNext?: boolean;
}

const PAIRS = "sentence pairs";

/** @param random of the pairs @throws UserError if there are none */
function layoutOf(dataset: Dataset, name: "train" | "validation", objective: Objective, random: RandomStream): Layout {
  const { length, tokenizer } = dataset.info;
  const { cls = 0, sep = 0, pad = 0 } = tokenizer.special;
  const part = dataset[name];
  const body = bodyLength(dataset, objective);
  if (!hasPairs(objective)) {
    return {
      length,
      pairs: false,
      write(ids, at, example) {
        ids[at] = cls;
        part.read(example, body, ids, at + 1);
        ids[at + 1 + body] = sep;
        return { end: at + length };
      },
    };
  }
  const pairs = new Pairs(part, body, dataset.folder, name === "train" ? "training" : name);
  return {
    length,
    pairs: true,
    write(ids, at, example, slot) {
      const { first, second, isNext } = pairs.draw(example, random, slot * numbersOfPair);
      ids[at] = cls;
      part.readAt(first.start, first.end - first.start, ids, at + 1);
      const begins = at + 2 + first.end - first.start;
      ids[begins - 1] = sep;
      part.readAt(second.start, second.end - second.start, ids, begins);
      const end = begins + second.end - second.start + 1;
      ids[end - 1] = sep;
      ids.fill(pad, end, at + length);
      return { end, second: begins, isNext };
    },
  };
}

interface MaskedForm {
  readonly sequences: number;
  /** What ends a document, where documents are apart. */
  readonly separator: number | undefined;
  readonly masker: Masker;
  /** Gathered positions a sequence. */
  readonly per: number;
  /** Of the masks. */
  readonly random: RandomStream;
  /** The first sequence's place in the step. */
  readonly firstSlot: number;
  /** Of a position, when so many are predicted; and of a pair. */
  readonly weight: (predicted: number) => number;
  readonly pairWeight: number;
}

function maskedBatch(layout: Layout, examples: readonly number[], form: MaskedForm): Batch {
  const { length } = layout;
  const { sequences, masker, per, random, firstSlot } = form;
  const ids = new Int32Array(sequences * length);
  const types = new Int32Array(layout.pairs ? ids.length : 0);
  const mask = new Float32Array(types.length);
  const gather = new Int32Array(sequences * per);
  const labels = new Int32Array(sequences * per);
  const weights = new Float32Array(sequences * per);
  const nsp = { labels: new Int32Array(sequences), weights: new Float32Array(sequences) };
  const documents = new Int32Array(form.separator === undefined ? 0 : ids.length);
  for (let row = 0; row < sequences; row++) {
    const start = row * length;
    const fillsUp = row >= examples.length;
    const slot = firstSlot + (fillsUp ? 0 : row);
    const { end, second, isNext } = layout.write(ids, start, fillsUp ? examples[0] : examples[row], slot);
    if (second !== undefined) {
      types.fill(1, second, end);
      mask.fill(1, start, end);
      nsp.labels[row] = isNext ? 0 : 1;
      nsp.weights[row] = fillsUp ? 0 : form.pairWeight;
    }
    // Before any token is masked; the [SEP] that ends every sequence is its last document's.
    if (form.separator !== undefined) {
      numberDocuments(documents, ids, start, end - 1, form.separator);
      documents[end - 1] = documents[end - 2];
    }
    let at = row * per;
    if (!fillsUp) {
      masker.mask(ids, start + 1, end - 1, random, slot * 4 * length, (position, token) => {
        gather[at] = position;
        labels[at] = token;
        weights[at++] = 1;
      });
    }
    // A sequence with separators or padding in it has fewer: the last position again, or its first, for nothing.
    const last = at > row * per ? gather[at - 1] : start;
    for (; at < (row + 1) * per; at++) {
      gather[at] = last;
      labels[at] = ids[last];
    }
  }
  const weight = form.weight(weights.reduce((predicted, one) => predicted + one, 0));
  for (let i = 0; i < weights.length; i++) weights[i] *= weight;
  const common = { ids, gather, labels, weights, tokens: examples.length * length, examples };
  if (form.separator !== undefined) {
    return { ...common, documents, gatheredDocuments: gather.map((position) => documents[position]) };
  }
  return layout.pairs ? { ...common, types, mask, nsp } : common;
}

function causal(
  dataset: Dataset,
  name: "train" | "validation",
  examples: readonly number[],
  batch: Pick<BatchShape, "sequences" | "documents">,
  weight: number,
): Batch {
  const { sequences } = batch;
  const { length } = dataset.info;
  const part = dataset[name];
  const separator = separatorOf(dataset, batch);
  const documents = separator === undefined ? undefined : new Int32Array(sequences * length);
  const ids = new Int32Array(sequences * length);
  const labels = new Int32Array(sequences * length);
  const weights = new Float32Array(sequences * length);
  for (let row = 0; row < sequences; row++) {
    const start = row * length;
    const fillsUp = row >= examples.length;
    part.read(fillsUp ? examples[0] : examples[row], length, ids, start);
    labels.set(ids.subarray(start + 1, start + length), start);
    if (documents !== undefined && separator !== undefined)
      numberDocuments(documents, ids, start, start + length, separator);
    if (!fillsUp) weights.fill(weight, start, start + length - 1);
  }
  return { ids, documents, labels, weights, tokens: examples.length * length, examples };
}

function noSequence(dataset: Dataset, part: string, body: number): UserError {
  const wayOut = "prepare more text, a shorter --length, or a larger --validation share";
  return new UserError(`its ${part} part holds no full sequence of ${body} tokens`, dataset.folder, wayOut);
}
