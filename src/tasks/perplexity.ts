/**
 * Perplexity of a text, document by document: a text's documents are what `prepare` takes for them. Per token, per word
 * (what white space parts) and per byte of UTF-8, and bits per byte, as lm-evaluation-harness's `loglikelihood_rolling`
 * counts them; a long document is read in windows.
 */
import { readBlocks } from "../data/text/blocks.ts";
import { parseLines } from "../data/text/lines.ts";
import { findSources } from "../data/text/sources.ts";
import { UserError } from "../util/errors.ts";
import type { Task } from "./task.ts";

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
    const sum = (of: (item: (typeof items)[number]) => number) => items.reduce((all, item) => all + of(item), 0);
    const nats = -sum(({ logprob }) => logprob);
    const bytes = sum((item) => item.bytes);
    const tokens = sum((item) => item.tokens);
    if (tokens === 0) throw new UserError("it holds no text", path, "name a text file with something in it");
    const per = (units: number) => Math.min(Math.exp(nats / units), Number.MAX_VALUE);
    return {
      figures: {
        token: per(tokens),
        word: per(sum(({ words }) => words)),
        byte: per(bytes),
        bitsPerByte: nats / bytes / Math.LN2,
        documents: items.length,
        tokens,
      },
      items,
    };
  },
};
