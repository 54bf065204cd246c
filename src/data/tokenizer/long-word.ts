/**
 * The tokens of a long run of text under BPE, exactly, with the library given a window of it at a time: one word may be
 * a whole file (a genome, a line of letters), and the library takes some 200 bytes for each of its own.
 *
 * Why it is exact: byte pair encoding joins the pair that comes first in the list of merges, the leftmost first. What it
 * does between two boundaries that it leaves alone does not depend on what lies outside, so tokens are those of a word
 * if and only if each two neighbours, encoded together, come out as those two again. So windows overlap, the next one
 * begins at a boundary of the one before, and what meets there is encoded together to see whether it stays apart.
 *
 * The pattern that splits words looks back at nothing (patterns.ts), so where it begins anew amidst the text, it goes on
 * as it would have from the first end of a match that both share; that is seen from the words' ends in the overlap.
 */
interface Window {
  readonly start: number;
  readonly end: number;
  readonly ids: readonly number[];
  /** Where in the text each token ends, undefined within a character; none if they do not make up the text. */
  readonly ends: readonly (number | undefined)[];
  /** The same of each word. */
  readonly words: readonly (number | undefined)[];
}

/** What windows are asked of. */
export interface Asked {
  /** The library's ids of a text. */
  encode(text: string): Promise<readonly number[]>;
  /** The words that a text is split into. */
  words(text: string): readonly string[];
  /** The bytes of text that a token or a word stands for. */
  sizeOf(token: string): number;
  tokenOf(id: number): string;
}

/**
 * @param text without added tokens
 * @param width UTF-16 units given at a time, where they suffice
 */
export async function encodeLong(asked: Asked, text: string, width = 2 ** 14): Promise<Uint32Array> {
  const { encode, words, sizeOf, tokenOf } = asked;
  const open = async (start: number, units: number): Promise<Window> => {
    const within = start + units < text.length;
    // Not in the midst of a surrogate pair.
    const end = within ? start + units - (/[\udc00-\udfff]/.test(text[start + units]) ? 1 : 0) : text.length;
    const part = text.slice(start, end);
    const ids = await encode(part);
    const ends = endsOf(
      ids.map((id) => sizeOf(tokenOf(id))),
      text,
      start,
      end,
    );
    return { start, end, ids, ends, words: endsOf(words(part).map(sizeOf), text, start, end) };
  };
  /** How many of a window's tokens are sure, and the window that begins after them. */
  const carryOn = async ({
    start,
    end,
    ids,
    ends,
    words,
  }: Window): Promise<[tokens: number, next: Window] | undefined> => {
    const margin = (end - start) / 32;
    for (let last = ids.length - 1, tries = 0; last > 0 && tries < 8; last--) {
      const place = ends[last];
      if (place === undefined || end - place < margin) continue;
      tries++;
      const next = await open(place, width);
      const shared = (all: Window["words"]) => all.filter((one = 0) => one > place && one <= end - margin / 2).join();
      if (shared(words) !== shared(next.words)) continue;
      const right = next.ends.findIndex((one) => one !== undefined);
      let left = last - 1;
      while (left >= 0 && ends[left] === undefined) left--;
      const wanted = [...ids.slice(left + 1, last + 1), ...next.ids.slice(0, right + 1)];
      const together = right < 0 ? [] : await encode(text.slice(left < 0 ? start : ends[left], next.ends[right]));
      if (together.length === wanted.length && together.every((id, i) => id === wanted[i])) return [last + 1, next];
    }
    return undefined;
  };
  const done: Uint32Array[] = [];
  let window = await open(0, width);
  while (window.end < text.length) {
    const carried = await carryOn(window);
    if (carried !== undefined) done.push(Uint32Array.from(window.ids.slice(0, carried[0])));
    // Where nothing in this window is sure yet: a longer one.
    window = carried?.[1] ?? (await open(window.start, 2 * (window.end - window.start)));
  }
  return joinIds([...done, Uint32Array.from(window.ids)]);
}

/** One after the other. */
export function joinIds(parts: readonly Uint32Array[], length = parts.reduce((sum, part) => sum + part.length, 0)) {
  const all = new Uint32Array(length);
  for (let i = 0, at = 0; i < parts.length; at += parts[i++].length) all.set(parts[i], at);
  return all;
}

function endsOf(sizes: readonly number[], text: string, start: number, end: number): readonly (number | undefined)[] {
  let [bytes, read, at] = [0, 0, start];
  const ends = sizes.map((size) => {
    bytes += size;
    while (read < bytes && at < end) {
      const code = text.codePointAt(at) ?? 0;
      read += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      at += code < 0x10000 ? 1 : 2;
    }
    return read === bytes ? at : undefined;
  });
  return at === end && read === bytes ? ends : [];
}
