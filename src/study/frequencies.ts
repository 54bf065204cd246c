/**
 * What a model could do by knowing how often each token occurs, and nothing else: the plateau that training leaves last,
 * below which a loss begins to say something about a method. Worked out once, and kept with the records.
 */
import { existsSync } from "node:fs";
import { z } from "zod";
import { type Dataset, openDataset, type Part } from "../data/prepared/dataset.ts";
import { writeFileWhole } from "../store/files.ts";
import { keeping } from "../util/closing.ts";
import { readJsonObject } from "../util/json.ts";
import type { DataCell, GivenCell } from "./cells.ts";
import { recordPath } from "./record.ts";

const schema = z.strictObject({ format: z.literal(1), trainingTokens: z.number(), unigramLoss: z.number() });

/** Tokens read at a time; what is left at the end is not counted. */
const SLICE = 2 ** 16;

/** Loss on the validation part, in nats a token, of the training part's frequencies (one added to each count). */
export function unigramLoss(dataset: Dataset): number {
  const { vocabulary } = dataset.info.tokenizer;
  const [training, validation] = [dataset.train, dataset.validation].map((part) => counts(part, vocabulary));
  const all = training.reduce((sum, count) => sum + count, vocabulary);
  let loss = 0;
  let tokens = 0;
  validation.forEach((count, id) => {
    loss -= count * Math.log((training[id] + 1) / all);
    tokens += count;
  });
  return loss / tokens;
}

function counts(part: Part, vocabulary: number): Float64Array {
  const found = new Float64Array(vocabulary);
  const ids = new Int32Array(SLICE);
  const length = Math.min(SLICE, part.info.tokens);
  for (let i = 0; length > 0 && i < part.sequences(length); i++) {
    part.read(i, length, ids, 0);
    for (let j = 0; j < length; j++) found[ids[j]]++;
  }
  return found;
}

/** Keeps it beside the runs' records, if it is not there yet. @param folder the prepared data */
export async function writeFrequencies(records: string, cell: DataCell | GivenCell, folder: string): Promise<void> {
  const path = recordPath(records, cell);
  if (existsSync(path)) return;
  await using keep = keeping();
  const dataset = keep(await openDataset(folder));
  const trainingTokens = dataset.info.train.tokens;
  const record = { format: 1, trainingTokens, unigramLoss: unigramLoss(dataset) };
  await writeFileWhole(path, `${JSON.stringify(record, null, 2)}\n`);
}

/** What was kept; undefined where it was not. */
export async function readFrequencies(records: string, cell: DataCell | GivenCell) {
  const path = recordPath(records, cell);
  return existsSync(path) ? schema.safeParse(await readJsonObject(path)).data : undefined;
}
