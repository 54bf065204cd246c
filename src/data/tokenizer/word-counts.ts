/**
 * How often each word of a corpus occurs, words being what the tokenizer's own normaliser and pre-tokeniser make of the
 * text. Pieces of raw text are counted while reading; only the distinct ones are turned into words, at the end.
 *
 * Memory is bounded: where more than four million distinct pieces, or pieces of 64 million letters, have piled up, the
 * rarest are forgotten (a piece so rare adds nothing to a vocabulary). A longer word than 4,096 letters is counted in
 * parts of that length.
 */

import type { Json } from "../../util/json.ts";
import { type Fingerprint, readAll } from "../text/blocks.ts";
import { parseLines } from "../text/lines.ts";
import type { Source } from "../text/sources.ts";
import { cutFor, slices } from "./cut.ts";

const MOST = 2 ** 22;
const MOST_LETTERS = 2 ** 26;
/** Units of the longest piece that is counted as one. */
const LONGEST = 2 ** 12;
/** What is one word to both. */
const plainWord = /^ ?(?:[A-Za-z]+|[0-9]+|[!-/:-@[-`{-~])$/;
const parts = /[\s\S]{1,4096}/gu;

/**
 * @param json tokenizer.json, its vocabulary aside: BERT's or GPT-2's normaliser and pre-tokeniser
 * @param fingerprints takes that of each source
 * @returns word → count; byte-level words in the alphabet that stands for bytes
 * @throws UserError for what can't be read as text
 */
export async function countWords(
  sources: readonly Source[],
  json: Json,
  progress?: (bytes: number) => void,
  fingerprints: Fingerprint[] = [],
): Promise<Map<string, number>> {
  const cut = cutFor(json);
  if (cut === undefined) throw new Error("words are counted for BERT's and GPT-2's pre-tokenisers only");
  const pieces = new Map<string, number>();
  let letters = 0;
  const add = (piece: string) => {
    const count = pieces.get(piece);
    if (count === undefined) letters += piece.length;
    // A new piece is copied: as a slice it would keep its whole line in memory.
    pieces.set(count === undefined ? Buffer.from(piece, "utf16le").toString("utf16le") : piece, (count ?? 0) + 1);
  };
  const forgetRarest = () => {
    for (let rarest = 1; pieces.size > MOST / 2 || letters > MOST_LETTERS / 2; rarest++) {
      for (const [piece, count] of pieces) if (count <= rarest && pieces.delete(piece)) letters -= piece.length;
    }
  };
  let bytes = 0;
  for await (const block of readAll(sources, fingerprints)) {
    for (const text of parseLines(block).texts) {
      for (const slice of slices(text, cut)) {
        for (const piece of cut.fine(slice)) {
          if (piece.length <= LONGEST) add(piece);
          else for (const [part] of piece.matchAll(parts)) add(part);
        }
        if (pieces.size > MOST || letters > MOST_LETTERS) forgetRarest();
      }
    }
    bytes += block.bytes.length;
    progress?.(bytes);
  }
  return toWords(pieces, json);
}

async function toWords(pieces: ReadonlyMap<string, number>, json: Json): Promise<Map<string, number>> {
  const { default: library } = await import("tokenizers");
  const native = library.Tokenizer.fromString(JSON.stringify(json));
  const normalizer = native.getNormalizer();
  const before = native.getPreTokenizer();
  const words = new Map<string, number>();
  const add = (word: string, count: number) => words.set(word, (words.get(word) ?? 0) + count);
  // What ASCII becomes is asked of the native library once: each letter, and a space at a word's start.
  const ascii = new Map<string, string>();
  for (let code = 0x20; code < 0x7f; code++) {
    const letter = String.fromCharCode(code);
    const [found] = before?.preTokenizeString(normalizer?.normalizeString(letter) ?? letter) ?? [];
    ascii.set(letter, found?.[0] ?? "");
  }
  for (const [piece, count] of pieces) {
    if (plainWord.test(piece)) {
      let word = "";
      for (const letter of piece) word += ascii.get(letter);
      add(word, count);
    } else {
      for (const [word] of before?.preTokenizeString(normalizer?.normalizeString(piece) ?? piece) ?? [])
        add(word, count);
    }
  }
  words.delete("");
  return words;
}
