/**
 * Learning a vocabulary by merges (Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL
 * 2016), for byte-level BPE and, as Hugging Face's trainer does, for WordPiece: the most frequent pair of neighbouring
 * symbols becomes a new symbol, again and again.
 *
 * Counts of pairs are kept up while words change, and a heap holds what they were when last looked at: a pair that
 * comes to its top with an old count goes back with the new one. Equal counts are decided by the symbols' numbers, the
 * older first, so the same words give the same merges, in whatever order they come.
 */
import TinyQueue from "tinyqueue";

export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly merged: number;
}

export interface Symbols {
  /** The symbols so far; a symbol's number is its place. New ones are added. */
  readonly names: string[];
  /** The name of what two symbols become. */
  join(left: string, right: string): string;
}

/** Words of symbols, one after the other: word i's are `symbols[starts[i] … starts[i + 1] − 1]`. */
export interface Words {
  readonly symbols: Int32Array;
  readonly starts: Int32Array;
  readonly counts: Float64Array;
}

/** Room in a pair's key for the second symbol. */
const SYMBOLS = 2 ** 24;

interface Pair {
  readonly key: number;
  count: number;
  /** Words in which it occurs or has occurred, some more than once. */
  readonly words: number[];
}

/** @param size how many symbols there are to be; it ends with fewer once no pair is left. The words are changed. */
export function learnMerges(words: Words, symbols: Symbols, size: number): Merge[] {
  const learner = learnerOf(words);
  const numbers = new Map(symbols.names.map((name, number) => [name, number]));
  const merges: Merge[] = [];
  while (symbols.names.length < size) {
    const pair = learner.mostFrequent();
    if (pair === undefined) break;
    const left = Math.floor(pair.key / SYMBOLS);
    const right = pair.key % SYMBOLS;
    const name = symbols.join(symbols.names[left], symbols.names[right]);
    // Two ways may lead to the same name: then it is the same symbol.
    let merged = numbers.get(name);
    if (merged === undefined) {
      merged = symbols.names.length;
      symbols.names.push(name);
      numbers.set(name, merged);
    }
    merges.push({ left, right, merged });
    learner.merge(pair, left, right, merged);
  }
  return merges;
}

function learnerOf(words: Words) {
  const pairs = new Map<number, Pair>();
  /** The largest count first, of equal ones the smallest key. */
  const heap = new TinyQueue<Pick<Pair, "key" | "count">>([], (a, b) => b.count - a.count || a.key - b.key);
  let round = 0;
  const { symbols, starts, counts } = words;
  /** How many symbols each word has by now. */
  const lengths = Int32Array.from(counts, (_, i) => starts[i + 1] - starts[i]);
  /** The last merge for which a word was looked at. */
  const seen = new Int32Array(counts.length);
  for (let word = 0; word < counts.length; word++) {
    for (let i = starts[word]; i + 1 < starts[word + 1]; i++) change(symbols[i], symbols[i + 1], counts[word], word);
  }
  for (const { key, count } of pairs.values()) heap.push({ key, count });

  function mostFrequent(): Pair | undefined {
    for (;;) {
      const top = heap.pop();
      if (top === undefined) return undefined;
      const pair = pairs.get(top.key);
      if (pair === undefined || pair.count <= 0) continue;
      if (pair.count === top.count) return pair;
      heap.push({ key: pair.key, count: pair.count });
    }
  }

  function merge(pair: Pair, left: number, right: number, merged: number): void {
    const { symbols, starts, counts } = words;
    const touched = new Set<Pair>();
    round++;
    pairs.delete(pair.key);
    for (const word of pair.words) {
      if (seen[word] === round) continue;
      seen[word] = round;
      const start = starts[word];
      const end = start + lengths[word];
      const count = counts[word];
      let to = start;
      for (let from = start; from < end; from++, to++) {
        if (from + 1 === end || symbols[from] !== left || symbols[from + 1] !== right) {
          symbols[to] = symbols[from];
          continue;
        }
        if (to > start) {
          change(symbols[to - 1], left, -count, word);
          touched.add(change(symbols[to - 1], merged, count, word));
        }
        if (from + 2 < end) {
          change(right, symbols[from + 2], -count, word);
          touched.add(change(merged, symbols[from + 2], count, word));
        }
        symbols[to] = merged;
        from++;
      }
      lengths[word] = to - start;
    }
    // The pair itself is gone, whatever its repetitions in a row made of its count.
    pairs.delete(pair.key);
    for (const one of touched) if (one.count > 0) heap.push({ key: one.key, count: one.count });
  }

  function change(left: number, right: number, by: number, word: number): Pair {
    const key = left * SYMBOLS + right;
    let pair = pairs.get(key);
    if (pair === undefined) {
      pair = { key, count: 0, words: [] };
      pairs.set(key, pair);
    }
    pair.count += by;
    if (by > 0 && pair.words[pair.words.length - 1] !== word) pair.words.push(word);
    return pair;
  }

  return { mostFrequent, merge };
}
