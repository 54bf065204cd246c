/** Inputs for a model from the beginning of a text. */
import { readBlocks } from "../data/text/blocks.ts";
import { parseLines } from "../data/text/lines.ts";
import { type Reading, sourceOf } from "../data/text/sources.ts";
import type { Tokenizer } from "../data/tokenizer/tokenizer.ts";
import type { Model } from "../model/architecture.ts";
import { UserError } from "../util/errors.ts";
import type { ProbeInputs } from "./inputs.ts";
import { paddedInputs } from "./verify.ts";

/** Lines that are looked at: more than a few sequences need. */
const ENOUGH = 64;
const SEQUENCES = 4;
/** Tokens of a sequence at most. */
const LONGEST = 128;

/**
 * The text's first lines as a batch, each cut to the length a sequence may have, between [CLS] and [SEP] where the
 * tokenizer has them.
 * @throws UserError if the file can't be read, is empty, or the tokenizer knows tokens that the model does not
 */
export async function textInputs(
  model: Model,
  tokenizer: Tokenizer,
  path: string,
  reading: Reading = {},
): Promise<ProbeInputs> {
  const lines = await beginning(path, reading);
  if (lines.length === 0) throw new UserError("it holds no text", path, "name a text file with something in it");
  const { cls, sep } = tokenizer.info.special;
  const [before, after] = [cls, sep].map((id) => (id === undefined ? [] : [id]));
  const most = Math.min(LONGEST, model.dimensions.positions) - before.length - after.length;
  const { ids, ends } = await tokenizer.encode(lines.slice(0, SEQUENCES));
  const rows = Array.from(ends, (end, i) => {
    return [...before, ...ids.subarray(i === 0 ? 0 : ends[i - 1], end).slice(0, most), ...after];
  }).filter((row) => row.length > 0);
  const unknown = rows.flat().find((id) => id >= model.dimensions.vocab);
  if (unknown !== undefined) {
    const what = `the tokenizer gives the id ${unknown}, the model knows ${model.dimensions.vocab} tokens`;
    throw new UserError(what, path, "put the model's own tokenizer into its folder");
  }
  return paddedInputs(model, rows);
}

/** Whole lines from the beginning: read as a corpus is, so what is no text is refused in the same words. */
async function beginning(path: string, reading: Reading): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const block of readBlocks(sourceOf(path, reading))) {
    lines.push(...parseLines(block).texts);
    if (lines.length >= ENOUGH) break;
  }
  return lines;
}
