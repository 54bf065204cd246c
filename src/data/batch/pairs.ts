/**
 * Sentence pairs for next-sentence prediction (Devlin et al., "BERT", 2019, section 3.1; lineage: create_pretraining_data
 * of google-research/bert): A ends where a line of a document ends, B is what follows it there, or, for half of the
 * pairs, as much from the start of a line of another document. Together they fill the sequence where the documents are
 * long enough.
 *
 * A pair is drawn when a batch is made and read from the part's flat tokens; nothing of it is stored. What differs from
 * the original: half of the pairs are true whatever the documents (there, one of a single sentence always made a false
 * one), a false B is as long as the true one would have been (so that its length gives nothing away), and no pair is
 * shortened on purpose. Documents of a single line hold no true neighbours: they serve as B only.
 */
import { UserError } from "../../util/errors.ts";
import type { RandomStream } from "../../util/random.ts";
import type { Part } from "../prepared/dataset.ts";

/** Two stretches of a part's tokens, ends excluded. */
export interface Pair {
  readonly first: { readonly start: number; readonly end: number };
  readonly second: { readonly start: number; readonly end: number };
  /** Whether the second is what follows the first. */
  readonly isNext: boolean;
}

/** Numbers that a pair draws. */
export const numbersOfPair = 4;

/**
 * How pairs of a part are drawn.
 * @param body tokens that both have together, at most
 * @param where the data's folder, for messages @param name the part's
 * @throws UserError if the part has no document of two lines, or a single document
 */
export function pairsIn(part: Part, body: number, where: string, name: string) {
  const { info } = part;
  const lacks =
    info.documents < 2
      ? "a single document, and a false sentence pair takes two"
      : info.lines === info.documents
        ? "no document of two lines, and a true sentence pair takes two"
        : undefined;
  if (lacks !== undefined) {
    const wayOut = "prepare text with a sentence or paragraph a line and a blank line between documents, or use mlm";
    throw new UserError(`its ${name} part holds ${lacks}`, where, wayOut);
  }
  const documents = part.documents();
  const lines = part.lines();

  /**
   * The pair around a token of the part's stretch number `example` of `body` tokens.
   * @param base the first of the stream's numbers to use
   */
  function draw(example: number, random: RandomStream, base: number): Pair {
    const anchor = example * body + random.below(body, base);
    const { start, end, next, middle } = around(anchor);
    // The place where A ends stands anywhere in the sequence, as far as the document reaches.
    const before = 1 + random.below(body - 1, base + 1);
    const last = Math.min(end, Math.max(start, middle - before) + body);
    const first = Math.max(start, last - body);
    if (!(first >= start && first < middle && middle < last)) throw lines.damaged();
    const own = { start: first, end: middle };
    if (random.uniform(base + 2) < 0.5) return { first: own, second: { start: middle, end: last }, isNext: true };
    const other = random.below(info.tokens - (next - start), base + 3);
    return {
      first: own,
      second: elsewhere(other < start ? other : other + next - start, last - middle),
      isNext: false,
    };
  }

  /** The document around a token, or the next one with two lines, and the start of a later line in it, the nearest. */
  function around(anchor: number): { start: number; end: number; next: number; middle: number } {
    let document = documents.holding(anchor);
    let firstLine = lines.holding(documents.at(document));
    let afterLast = lines.holding(documents.at(document + 1));
    let line = lines.holding(anchor);
    if (afterLast - firstLine < 2) {
      document = withTwoLines(firstLine - document);
      firstLine = lines.holding(documents.at(document));
      afterLast = lines.holding(documents.at(document + 1));
      line = firstLine;
    }
    const choices = [line, line + 1]
      .filter((choice) => choice > firstLine && choice < afterLast)
      .map((i) => lines.at(i));
    const [middle] = choices.sort((a, b) => Math.abs(a - anchor) - Math.abs(b - anchor));
    const start = documents.at(document);
    const next = documents.at(document + 1);
    // The separator after it is no part of a document.
    return { start, next, end: next - 1, middle };
  }

  /** The document that holds the line end number `wanted` of those inside documents; the last of them if there are fewer. */
  function withTwoLines(wanted: number): number {
    const target = Math.min(wanted, lines.count - documents.count - 1);
    let low = 0;
    let high = documents.count - 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const upTo = lines.holding(documents.at(middle + 1)) - (middle + 1);
      if (upTo > target) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** So many tokens from the start of the line that holds a token, or of an earlier one where its document ends too soon. */
  function elsewhere(token: number, length: number): { start: number; end: number } {
    const document = documents.holding(token);
    const end = documents.at(document + 1) - 1;
    const latest = Math.max(documents.at(document), end - length);
    const start = lines.at(lines.holding(Math.min(token, latest)));
    return { start, end: Math.min(end, start + length) };
  }

  return draw;
}
