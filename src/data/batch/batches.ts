/**
 * Batches: a pure function of (seed, step, micro-batch), whatever came before and however many threads run.
 *
 * Sequence g of a run (g counts sequences, over steps and their micro-batches) is place g mod n of epoch ⌊g / n⌋'s order.
 */
import type { Objective } from "../../model/objectives.ts";
import { UserError } from "../../util/errors.ts";
import { RandomStream } from "../../util/random.ts";
import type { Dataset } from "../prepared/dataset.ts";
import { permutation } from "../prepared/order.ts";
import { type Batch, type BatchShape, bodyLength, hasPairs, predictedOf } from "./batch.ts";
import { maskedCount } from "./masking.ts";
import { causal, layoutOf, maskedBatch, maskerOf, separatorOf } from "./rows.ts";

const PAIRS = "sentence pairs";

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
export type DataSize = ReturnType<typeof dataSize>;

/** @throws UserError if the data does not serve the objective or holds no full sequence */
export function dataSize(dataset: Dataset, objective: Objective, batch: BatchShape) {
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
    /** Training sequences, each seen once an epoch. */
    sequences,
    validationSequences,
    tokensPerStep: batch.sequences * batch.accumulate * dataset.info.length,
    /** Steps of an epoch; not whole as a rule. */
    stepsPerEpoch: sequences / (batch.sequences * batch.accumulate),
    /** Positions of a sequence that are predicted: P where they are masked, length − 1 for "clm". */
    perSequence: predictedOf(dataset.info.length, objective, batch.masked),
  };
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
    per: predictedOf(dataset.info.length, objective, batch.masked),
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
    per: predictedOf(dataset.info.length, objective, batch.masked),
    random: new RandomStream(0, "validation masking"),
    weight: () => 1,
    pairWeight: 1,
  };
  const layout = layoutOf(dataset, "validation", objective, new RandomStream(0, "validation pairs"));
  for (let start = 0; start < count; start += batch.sequences) {
    yield maskedBatch(layout, rowsFrom(start), { ...common, firstSlot: start });
  }
}

function epochOrder(sequences: number, seed: number, epoch: number): (place: number) => number {
  return permutation(sequences, new RandomStream(seed, "epoch order", epoch));
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
    rows.push(order(place - epoch * sequences));
  }
  return rows;
}

function noSequence(dataset: Dataset, part: string, body: number): UserError {
  const wayOut = "prepare more text, a shorter --length, or a larger --validation share";
  return new UserError(`its ${part} part holds no full sequence of ${body} tokens`, dataset.folder, wayOut);
}
