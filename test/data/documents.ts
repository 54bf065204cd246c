/** Prepared data of given documents, as `prepare` lays it out. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DatasetInfo, infoJson, type PartInfo } from "../../src/data/prepared/dataset.ts";

/** Lines of a document as token ids. */
export type Document = readonly (readonly number[])[];

export const separator = 3;

/** A part's files: tokens, and where documents and lines start. */
export function writePart(folder: string, name: string, documents: readonly Document[], width: 2 | 4): PartInfo {
  const tokens: number[] = [];
  const starts: bigint[] = [];
  const lines: bigint[] = [];
  for (const document of documents) {
    starts.push(BigInt(tokens.length));
    for (const line of document) {
      lines.push(BigInt(tokens.length));
      tokens.push(...line);
    }
    tokens.push(separator);
  }
  const end = BigInt(tokens.length);
  writeFileSync(join(folder, `${name}.tokens`), width === 2 ? Uint16Array.from(tokens) : Uint32Array.from(tokens));
  writeFileSync(join(folder, `${name}.documents`), BigUint64Array.from([...starts, end]));
  writeFileSync(join(folder, `${name}.lines`), BigUint64Array.from([...lines, end]));
  return { documents: starts.length, lines: lines.length, tokens: tokens.length };
}

/** Writes both parts and data.json. */
export function writeDocuments(
  folder: string,
  train: readonly Document[],
  validation: readonly Document[],
  length: number,
  tokenizer: DatasetInfo["tokenizer"],
): DatasetInfo {
  mkdirSync(folder, { recursive: true });
  const width = tokenizer.vocabulary > 65536 ? 4 : 2;
  const info: DatasetInfo = {
    length,
    width,
    tokenizer,
    separator,
    lineBreak: [],
    train: writePart(folder, "train", train, width),
    validation: writePart(folder, "validation", validation, width),
    sources: [],
  };
  writeFileSync(join(folder, "data.json"), JSON.stringify(infoJson(info)));
  return info;
}
