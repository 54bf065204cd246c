/**
 * How each objective makes a batch's rows of a part's tokens:
 * - "mlm": [CLS] body [SEP], masked dynamically; the head runs at `perSequence` gathered positions of each sequence;
 * - "mlm+nsp": [CLS] A [SEP] B [SEP] and padding, masked alike, with the label of the pair (pairs.ts);
 * - "clm": the body itself; the label of a position is the next token, the last position has none (as transformers
 *   counts: the mean is over length − 1).
 */
import type { Objective } from "../../model/objectives.ts";
import { UserError } from "../../util/errors.ts";
import type { RandomStream } from "../../util/random.ts";
import type { Dataset } from "../prepared/dataset.ts";
import { type Batch, type BatchShape, bodyLength, hasPairs } from "./batch.ts";
import { type Masker, maskerFor } from "./masking.ts";
import { numbersOfPair, pairsIn } from "./pairs.ts";

export function maskerOf(dataset: Dataset, masked: number, objective: Objective): Masker {
  if (!(masked > 0 && masked <= 1)) {
    throw new UserError(`a share of ${masked}`, "batch.masked", "it is a share above 0 and at most 1, such as 0.15");
  }
  const { tokenizer } = dataset.info;
  const { cls, sep, mask } = tokenizer.special;
  if (cls === undefined || sep === undefined || mask === undefined) {
    const missing = cls === undefined ? "classification" : sep === undefined ? "separator" : "mask";
    const wayOut =
      "prepare the data with a BERT or RoBERTa tokenizer whose special_tokens_map.json names it, or train with objective clm";
    const what = `its tokenizer has no ${missing} token, which objective ${objective} needs`;
    throw new UserError(what, dataset.folder, wayOut);
  }
  return maskerFor(tokenizer, mask, masked, dataset.drawnBelow);
}

/** Numbers the documents of a sequence, ids `start` to `end`, from 0: one ends with its separator. */
function numberDocuments(into: Int32Array, ids: Int32Array, start: number, end: number, separator: number): void {
  let document = 0;
  for (let i = start; i < end; i++) {
    into[i] = document;
    if (ids[i] === separator) document++;
  }
}

/** What ends a document, where a batch keeps documents apart: which of its sequence's a token is of is then told by it. */
export function separatorOf({ info }: Dataset, { documents }: Pick<BatchShape, "documents">): number | undefined {
  return documents === "apart" ? info.separator : undefined;
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

/** @param random of the pairs @throws UserError if there are none */
export function layoutOf(
  dataset: Dataset,
  name: "train" | "validation",
  objective: Objective,
  random: RandomStream,
): Layout {
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
  const draw = pairsIn(part, body, dataset.folder, name === "train" ? "training" : name);
  return {
    length,
    pairs: true,
    write(ids, at, example, slot) {
      const { first, second, isNext } = draw(example, random, slot * numbersOfPair);
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

export function maskedBatch(layout: Layout, examples: readonly number[], form: MaskedForm): Batch {
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

export function causal(
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
