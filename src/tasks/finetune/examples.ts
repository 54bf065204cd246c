/** Examples as ids: texts between a tokenizer's special tokens, cut where they are too long, and batches of them. */
import { addedBy, fill, type Template } from "../../data/tokenizer/template.ts";
import type { Tokenizer } from "../../data/tokenizer/tokenizer.ts";
import type { Model } from "../../model/architecture.ts";
import { positionsOf } from "../../model/forward.ts";
import type { TaskHead } from "../../model/task-head.ts";
import { RandomStream } from "../../util/random.ts";
import { bucketOf } from "../forward.ts";
import { encodeFor } from "../model.ts";
import type { Example } from "./table.ts";

export interface Encoded {
  readonly ids: readonly number[];
  readonly types: readonly number[];
  /** A class's number, or a value. */
  readonly label: number;
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

/** @param most tokens of an example @returns the examples, and how many were cut @throws UserError */
export async function encodeExamples(
  model: Model,
  tokenizer: Tokenizer,
  template: Template,
  examples: readonly Example[],
  labels: readonly number[],
  most: number,
): Promise<{ readonly encoded: readonly Encoded[]; readonly cut: number }> {
  const texts = examples.flatMap((example) => example.texts);
  const count = examples[0].texts.length;
  const ids = await encodeFor(model, tokenizer, texts, (i) => examples[Math.floor(i / count)].where);
  const pieces = count === 1 ? template.single : template.pair;
  const room = most - addedBy(pieces);
  let cut = 0;
  const encoded = examples.map((_, i): Encoded => {
    const [A, B = new Uint32Array()] = ids.slice(i * count, (i + 1) * count);
    const [a, b] = longestFirst(A.length, B.length, room);
    if (a + b < A.length + B.length) cut++;
    const filled = fill(pieces, { A: A.subarray(0, a), B: B.subarray(0, b) });
    return { ids: filled.ids, types: filled.types, label: labels[i] };
  });
  return { encoded, cut };
}

/** The order of an epoch: a function of (seed, epoch). */
export function orderOf(count: number, seed: number, epoch: number): Uint32Array {
  return new RandomStream(seed, "finetune/order", epoch).permutation(count);
}

export interface TaskBatch {
  readonly length: number;
  readonly inputs: Record<string, Int32Array | Float32Array>;
}

/** @param size rows of the program; those that are missing repeat the first and weigh nothing */
export function batchOf(
  model: Model,
  head: TaskHead,
  some: readonly Encoded[],
  size: number,
  kind: "classes" | "values",
): TaskBatch {
  const length = bucketOf(Math.max(...some.map(({ ids }) => ids.length)), model.dimensions.positions);
  const ids = new Int32Array(size * length).fill(Number(model.config.pad_token_id ?? 0));
  const types = new Int32Array(size * length);
  const mask = new Float32Array(size * length);
  const gather = new Int32Array(size);
  const labels = kind === "classes" ? new Int32Array(size) : new Float32Array(size);
  const weights = new Float32Array(size);
  for (let row = 0; row < size; row++) {
    const example = some[row] ?? some[0];
    ids.set(example.ids, row * length);
    if (model.dimensions.types > 1) types.set(example.types, row * length);
    mask.fill(1, row * length, row * length + example.ids.length);
    gather[row] = row * length + (head.reads === "last" ? example.ids.length - 1 : 0);
    labels[row] = example.label;
    weights[row] = row < some.length ? 1 / some.length : 0;
  }
  const positions = positionsOf(model, ids, length);
  return {
    length,
    inputs: { ids, types, mask, gather, labels, weights, ...(positions === undefined ? {} : { positions }) },
  };
}
