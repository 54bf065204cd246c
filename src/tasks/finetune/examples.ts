/** Examples as ids: texts between a tokenizer's special tokens, cut where they are too long, and batches of them. */
import { addedBy, fill, type Template } from "../../data/tokenizer/template.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { TensorData } from "../../engine/engine.ts";
import type { Model } from "../../model/architecture.ts";
import type { HeadedModel } from "../../model/task-head.ts";
import { RandomStream } from "../../util/random.ts";
import { bucketOf, inputsAt } from "../forward.ts";
import { encodeFor } from "../model.ts";
import { formOf, type LossKind } from "./programs.ts";
import type { Cells } from "./table.ts";

export interface Encoded {
  readonly ids: readonly number[];
  readonly types: readonly number[];
  /** Positions that a head of all of them is asked of; absent: each. */
  readonly at?: readonly number[];
  /** A class's number or a value of each position, or where a span begins and ends; none: it can't be learned from. */
  readonly labels: readonly number[];
}

/** All that texts are made to ids by. */
export interface Encoding {
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly template: Template;
  /** Tokens of an example. */
  readonly most: number;
  /** Told what was cut. */
  readonly note?: (text: string) => void;
}

/**
 * How much of two texts stays so that they have `most` tokens together: the longer one is cut first, as the tokenizers
 * library's `longest_first` does.
 */
export function longestFirst(a: number, b: number, most: number): readonly [number, number] {
  if (a + b <= most) return [a, b];
  const shorter = Math.min(a, b);
  let long = shorter > most ? shorter : Math.max(shorter, most - shorter);
  let short = shorter;
  if (short + long > most) [short, long] = [Math.floor(most / 2), Math.floor(most / 2) + (most % 2)];
  return a > b ? [long, short] : [short, long];
}

/** @param part for messages @throws UserError for a token that the model does not know */
export async function encodeTexts(
  { template, most, note, ...own }: Encoding,
  part: string,
  examples: readonly Cells<string>[],
  labelOf: (example: Cells<string>) => number | undefined,
): Promise<readonly Encoded[]> {
  const texts = examples.flatMap((example) => example.texts);
  const count = examples[0].texts.length;
  const ids = await encodeFor(own, texts, (i) => examples[Math.floor(i / count)].where);
  const pieces = count === 1 ? template.single : template.pair;
  let cut = 0;
  const encoded = examples.map((example, i): Encoded => {
    const [A, B = new Uint32Array()] = ids.slice(i * count, (i + 1) * count);
    const [a, b] = longestFirst(A.length, B.length, most - addedBy(pieces));
    if (a + b < A.length + B.length) cut++;
    const { ids: all, types } = fill(pieces, { A: A.subarray(0, a), B: B.subarray(0, b) });
    const label = labelOf(example);
    return { ids: all, types, labels: label === undefined ? [] : [label] };
  });
  noteCut(note, cut, encoded.length, part, most);
  return encoded;
}

export function noteCut(note: Encoding["note"], cut: number, all: number, part: string, most: number): void {
  if (cut > 0) note?.(`${cut} of ${all} ${part} examples are longer than ${most} tokens and were cut`);
}

/** The order of an epoch: a function of (seed, epoch). */
export function orderOf(count: number, seed: number, epoch: number): Uint32Array {
  return new RandomStream(seed, "finetune/order", epoch).permutation(count);
}

/** A batch as a program of its form takes it. @param batch rows of the program; those that are missing repeat the first and weigh nothing */
export function batchOf(
  { model, head }: Pick<HeadedModel, "model" | "head">,
  some: readonly Encoded[],
  batch: number,
  loss: LossKind,
) {
  const length = bucketOf(Math.max(...some.map(({ ids }) => ids.length)), model.dimensions.positions);
  const form = formOf({ head }, batch, length, loss);
  const labels = loss === "values" ? new Float32Array(batch * form.labels) : new Int32Array(batch * form.labels);
  const weights = new Float32Array(labels.length);
  const count = some.reduce((sum, example) => sum + example.labels.length, 0);
  some.forEach((example, row) => {
    const start = row * form.labels;
    labels.set(example.labels, start);
    weights.fill(1 / count, start, start + example.labels.length);
  });
  const sequences = some.map(({ ids, types, at }) => {
    const read = head.reads === "all" ? at : [head.reads === "last" ? Math.max(0, ids.length - 1) : 0];
    return { ids, at: read, types: model.dimensions.types > 1 ? types : [] };
  });
  const inputs: Record<string, TensorData> = { ...inputsAt(model, sequences, form), labels, weights };
  return { form, inputs };
}
