/**
 * Perplexity of a text, document by document: a text's documents are what `prepare` takes for them. Per token, per word
 * (what white space parts) and per byte of UTF-8, and bits per byte, as lm-evaluation-harness's `loglikelihood_rolling`
 * counts them; a long document is read in windows.
 */
import { readBlocks } from "../data/text/blocks.ts";
import { parseLines } from "../data/text/lines.ts";
import { findSources } from "../data/text/sources.ts";
import { UserError } from "../util/errors.ts";
import { perplexityOf, type Task } from "./task.ts";

const SPACES = /\p{White_Space}+/u;

/** Documents that are scored together. */
const AT_ONCE = 256;

async function* documents(path: string): AsyncGenerator<string> {
  for (const source of await findSources([path])) {
    let lines: string[] = [];
    for await (const block of readBlocks(source)) {
      const { texts, breaks, breakAfter } = parseLines(block);
      for (const [i, text] of texts.entries()) {
        if (breaks[i] === 1 && lines.length > 0) {
          yield lines.join("\n");
          lines = [];
        }
        lines.push(text);
      }
      if (!breakAfter || lines.length === 0) continue;
      yield lines.join("\n");
      lines = [];
    }
    if (lines.length > 0) yield lines.join("\n");
  }
}

export const perplexity: Task = {
  name: "perplexity",
  causalOnly: "a masked model gives no probability of a text",
  async run(path, scorer) {
    const items: { logprob: number; tokens: number; words: number; bytes: number }[] = [];
    let texts: string[] = [];
    const score = async () => {
      const scores = await scorer.documents(texts, () => path);
      scores.forEach(({ logprob, tokens }, i) => {
        items.push({ logprob, tokens, words: texts[i].split(SPACES).length, bytes: Buffer.byteLength(texts[i]) });
      });
      texts = [];
    };
    for await (const text of documents(path)) if (texts.push(text) === AT_ONCE) await score();
    await score();
    const sum = (key: keyof (typeof items)[number]) => items.reduce((all, item) => all + item[key], 0);
    const [logprob, tokens, words, bytes] = [sum("logprob"), sum("tokens"), sum("words"), sum("bytes")];
    if (tokens === 0) throw new UserError("it holds no text", path, "name a text file with something in it");
    return {
      figures: {
        token: perplexityOf(logprob, tokens),
        word: perplexityOf(logprob, words),
        byte: perplexityOf(logprob, bytes),
        bitsPerByte: -logprob / bytes / Math.LN2,
        documents: items.length,
        tokens,
      },
      items,
    };
  },
};
