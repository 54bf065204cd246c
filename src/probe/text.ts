/** Inputs for a model from the beginning of a text. */
import { createReadStream } from "node:fs";
import { createGunzip } from "node:zlib";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { Model } from "../model/architecture.ts";
import { UserError } from "../util/errors.ts";
import { systemError } from "../util/system.ts";
import type { ProbeInputs } from "./inputs.ts";
import { paddedInputs } from "./verify.ts";

/** Bytes of text that are looked at: ample for a few sequences. */
const ENOUGH = 2 ** 16;

/**
 * The text's first lines as a batch, each cut to the length a sequence may have, between [CLS] and [SEP] where the
 * tokenizer has them.
 * @throws UserError if the file can't be read, is empty, or the tokenizer knows tokens that the model does not
 */
export async function textInputs(
  model: Model,
  tokenizer: Tokenizer,
  path: string,
  sequences = 4,
  longest = 128,
): Promise<ProbeInputs> {
  const lines = (await beginning(path)).split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new UserError("it holds no text", path, "name a text file with something in it");
  const { cls, sep } = tokenizer.info.special;
  const [before, after] = [cls, sep].map((id) => (id === undefined ? [] : [id]));
  const most = Math.min(longest, model.dimensions.positions) - before.length - after.length;
  const { ids, ends } = await tokenizer.encode(lines.slice(0, sequences));
  const rows = Array.from(ends, (end, i) => {
    return [...before, ...ids.subarray(i === 0 ? 0 : ends[i - 1], end).slice(0, most), ...after];
  }).filter((row) => row.length > 0);
  const unknown = rows.flat().find((id) => id >= model.dimensions.vocab);
  if (unknown !== undefined) {
    throw new UserError(
      `the tokenizer gives the id ${unknown}, the model knows ${model.dimensions.vocab} tokens`,
      path,
      "put the model's own tokenizer into its folder",
    );
  }
  return paddedInputs(model, rows);
}

async function beginning(path: string): Promise<string> {
  try {
    const file = createReadStream(path);
    const stream = /\.gz$/i.test(path) ? file.pipe(createGunzip()) : file;
    file.on("error", (error) => stream.destroy(error));
    const parts: Buffer[] = [];
    let length = 0;
    for await (const part of stream) {
      parts.push(part);
      length += part.length;
      if (length >= ENOUGH) break;
    }
    file.destroy();
    return new TextDecoder().decode(Buffer.concat(parts).subarray(0, ENOUGH));
  } catch (error) {
    throw systemError(error, path);
  }
}
