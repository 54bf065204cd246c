/**
 * Cutting a text into pieces, fast, where a tokenizer surely cuts it too: what the tokenizer makes of the pieces, one
 * after the other, is what it makes of the text.
 * - BERT's normaliser works on one character at a time (its decomposition never reaches over a space), and its
 *   pre-tokeniser cuts at white space: a text may be cut at every space, and ASCII text at every punctuation mark.
 * - GPT-2's pattern puts a single space between two other characters at the start of what follows it: a text may be cut
 *   before it, and ASCII text by the pattern itself.
 * A piece of printable ASCII is one word of the tokenizer's; any other may still be several.
 */
import { isJsonObject, type Json } from "../../util/json.ts";

const PRINTABLE_ASCII = /^[ -~]*$/;

/** The way to cut for a tokenizer, added tokens aside; undefined: none is known. @param json tokenizer.json */
export function cutFor(json: Json): ((text: string) => readonly string[]) | undefined {
  const { normalizer, pre_tokenizer: before } = json;
  if (!isJsonObject(before)) return undefined;
  if (isJsonObject(normalizer) && normalizer.type === "BertNormalizer" && before.type === "BertPreTokenizer") {
    return cutter(/[A-Za-z0-9]+|[!-/:-@[-`{-~]/g, atSpaces);
  }
  const plain = before.type === "ByteLevel" && before.add_prefix_space === false && before.use_regex !== false;
  if (plain && (normalizer === null || normalizer === undefined)) {
    const pattern = /'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+/g;
    return cutter(pattern, beforeSingleSpaces);
  }
  return undefined;
}

export function isPrintableAscii(text: string): boolean {
  return PRINTABLE_ASCII.test(text);
}

function cutter(ascii: RegExp, chunks: (text: string) => readonly string[]): (text: string) => readonly string[] {
  return (text) => {
    if (PRINTABLE_ASCII.test(text)) return text.match(ascii) ?? [];
    return chunks(text).flatMap((chunk) => (PRINTABLE_ASCII.test(chunk) ? (chunk.match(ascii) ?? []) : [chunk]));
  };
}

function atSpaces(text: string): readonly string[] {
  return text.split(" ").filter((chunk) => chunk !== "");
}

/** Before each space that stands alone between two characters that are surely no white space to anybody. */
function beforeSingleSpaces(text: string): readonly string[] {
  return text.split(/(?<=[^\s\p{C}])(?= [^\s\p{C}])/u);
}
