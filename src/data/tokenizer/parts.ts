/**
 * How a text falls apart into what may be encoded by itself: at added tokens, which the native library looks for before
 * anything else, then where cut.ts says. An added token that takes the spaces beside it, stands for a word of its own
 * only, or is looked for after normalisation can't be seen from outside: a text that may hold one is cut at spaces alone.
 * Lineage of that order: huggingface/tokenizers, tokenizers/src/tokenizer/added_vocabulary.rs.
 */
import type { Tokenizer as Native } from "tokenizers";
import { isJsonObject, type Json } from "../../util/json.ts";
import { type Cut, cutFor, isPrintableAscii, LONG, slices } from "./cut.ts";
import { addedTokens } from "./folder.ts";
import { escaped } from "./patterns.ts";
import { prefixOf } from "./prefix.ts";

/** Pieces that are encoded each by itself. */
export interface Part {
  readonly pieces: readonly string[];
  /** Whether they are, or may hold, added tokens: then they can't be joined by one. */
  readonly apart: boolean;
}

export interface Parting {
  readonly cut: Cut;
  /** An added token that stands for itself alone, and its id. */
  readonly joint: { readonly content: string; readonly id: number } | undefined;
  /** What encodes pieces that are not apart, which have what is put before a text already; undefined: the tokenizer itself. */
  readonly plain: Json | undefined;
  /** The parts of a text, one after the other. */
  parts(text: string): Generator<Part>;
}

/** @param json what the native tokenizer was made of @returns undefined if it may not be cut at all */
export function partingFor(native: Native, json: Json): Parting | undefined {
  const cut = cutFor(json);
  const { model } = json;
  const prefix = prefixOf(json);
  if (cut === undefined || !isJsonObject(model) || (typeof model.dropout === "number" && model.dropout > 0)) return;
  const tokens = addedTokens(json);
  const normalizer = native.getNormalizer();
  const normal = (text: string) => normalizer?.normalizeString(text) ?? text;
  // Without a normaliser, what is looked for after it is looked for in the text itself.
  const first = normalizer === null && tokens.every((token) => token.normalized);
  const open = tokens.filter(
    (token) => token.normalized === first && !(token.lstrip || token.rstrip || token.single_word),
  );
  const hidden = tokens.filter((token) => !open.includes(token)).flatMap(({ content }) => [content, normal(content)]);
  const openPattern = patternOf(open.map(({ content }) => content));
  const hiddenPattern = patternOf(hidden, "i");
  const mayHide = (text: string) => {
    if (hiddenPattern === undefined) return false;
    // Of printable ASCII, a normaliser changes nothing but the case.
    if (isPrintableAscii(text) || hiddenPattern.test(text)) return hiddenPattern.test(text);
    return normalizer !== null && (text.length > LONG || hiddenPattern.test(normal(text)));
  };
  const noSpaces = tokens.every(({ content, rstrip }) => !rstrip && !/\s/.test(content + normal(content)));
  const unknown = Array.isArray(model.vocab) ? model.unk_id : model.unk_token;
  // Its id must come of nothing else, whatever stands beside it, and not be another one to the library.
  const joint = open.find(
    ({ content, id }) =>
      content !== unknown &&
      id !== unknown &&
      native.tokenToId(content) === id &&
      tokens.every((other) => other.id === id || !other.content.startsWith(content)) &&
      tokens.every((other) => other.content.indexOf(content[0], 1) < 0),
  );
  return {
    cut,
    joint,
    plain: prefix?.without,
    *parts(text) {
      if (mayHide(text)) {
        yield { pieces: noSpaces ? cut.coarse(text) : [text], apart: true };
        return;
      }
      const segments = openPattern === undefined ? [text] : text.split(openPattern);
      let first = true;
      for (let i = 0; i < segments.length; i++) {
        const segment = segments[i];
        if (i % 2 === 1) yield { pieces: [segment], apart: true };
        else if (segment !== "") {
          const whole = prefix?.put(segment, first, beginning(segment, normal)) ?? segment;
          for (const slice of slices(whole, cut)) yield { pieces: cut.fine(slice), apart: false };
        }
        if (segment !== "") first = false;
      }
    },
  };
}

/** How a text begins once it is normalised: a no-break space may be a space then. */
function beginning(text: string, normal: (text: string) => string): string {
  const some = text.slice(0, 32);
  return /^[!-~ ]/.test(some) ? some : normal(some);
}

/** Finds any of these texts, of those that begin at the same place the longest; `split` keeps what it finds. */
function patternOf(contents: readonly string[], flags = ""): RegExp | undefined {
  if (contents.length === 0) return undefined;
  const longestFirst = [...contents].sort((a, b) => b.length - a.length);
  return new RegExp(`(${longestFirst.map(escaped).join("|")})`, flags);
}
