/**
 * The tokens of a long run of text under byte-level BPE, exactly, with the library given a window of it at a time: one
 * word may be a whole file (a genome, a line of letters), and the library takes some 200 bytes for each of its own.
 *
 * Why it is exact: byte pair encoding joins the pair that comes first in the list of merges, the leftmost first. What it
 * does between two boundaries that it leaves alone does not depend on what lies outside, so tokens are those of a word
 * if and only if each two neighbours, encoded together, come out as those two again. So windows overlap, the next one
 * begins at a boundary of the one before, and what meets there is encoded together to see whether it stays apart.
 */
/**
 * What GPT-2's pattern takes from place 1 of these on is what it takes there after what comes before: not where an
 * apostrophe may begin or end a match of its own, nor where white space meets something else.
 */
const unsure = /'[a-z]|[\s\x85]/i;
const within = /^[ \t\n\r\xa0\u3000]{2}/;

/**
 * @param encode the library's ids of a text
 * @param sizeOf bytes that a token stands for
 * @param text without added tokens
 * @param window UTF-16 units given at a time, where they suffice
 */
export async function encodeLong(
  encode: (text: string) => Promise<readonly number[]>,
  sizeOf: (id: number) => number,
  text: string,
  window = 2 ** 14,
): Promise<Uint32Array> {
  const done: Uint32Array[] = [];
  for (let start = 0, width = window, ids: readonly number[] | undefined; ; ) {
    const end = atCharacter(text, start + width);
    ids ??= await encode(text.slice(start, end));
    const next = end < text.length ? await carriedOn(encode, sizeOf, text, start, end, ids, window) : undefined;
    if (end < text.length && next === undefined) {
      // Nothing in this window is sure yet: a longer one.
      [width, ids] = [2 * width, undefined];
      continue;
    }
    done.push(Uint32Array.from(next === undefined ? ids : ids.slice(0, next.tokens)));
    if (next === undefined) return joinIds(done);
    [start, width, ids] = [next.start, window, next.ids];
  }
}

/** One after the other. */
export function joinIds(parts: readonly Uint32Array[], length = parts.reduce((sum, part) => sum + part.length, 0)) {
  const all = new Uint32Array(length);
  for (let i = 0, at = 0; i < parts.length; at += parts[i++].length) all.set(parts[i], at);
  return all;
}

/** Where the window that was encoded to `ids` may be left: after how many tokens, where that is, the ids from there. */
async function carriedOn(
  encode: (text: string) => Promise<readonly number[]>,
  sizeOf: (id: number) => number,
  text: string,
  start: number,
  end: number,
  ids: readonly number[],
  window: number,
): Promise<{ tokens: number; start: number; ids: readonly number[] } | undefined> {
  const ends = endsOf(ids, sizeOf, text, start, end);
  if (ends === undefined) return undefined;
  let tries = 0;
  for (let last = ids.length - 1; last > 0 && tries < 8; last--) {
    const place = ends[last];
    if (place === undefined || end - place < (end - start) / 32) continue;
    const around = text.slice(place - 1, place + 2);
    if (unsure.test(around) && !within.test(around)) continue;
    tries++;
    const nextEnd = atCharacter(text, place + window);
    const following = await encode(text.slice(place, nextEnd));
    const followingEnds = endsOf(following, sizeOf, text, place, nextEnd);
    const right = followingEnds?.findIndex((one) => one !== undefined) ?? -1;
    let left = last - 1;
    while (left >= 0 && ends[left] === undefined) left--;
    const stop = followingEnds?.[right];
    if (stop === undefined) continue;
    const together = await encode(text.slice(left < 0 ? start : ends[left], stop));
    const wanted = [...ids.slice(left + 1, last + 1), ...following.slice(0, right + 1)];
    if (together.length === wanted.length && together.every((id, i) => id === wanted[i])) {
      return { tokens: last + 1, start: place, ids: following };
    }
  }
  return undefined;
}

/** Where in the text each token ends, undefined within a character; undefined if they do not make up the text. */
function endsOf(
  ids: readonly number[],
  sizeOf: (id: number) => number,
  text: string,
  start: number,
  end: number,
): (number | undefined)[] | undefined {
  let [bytes, read, at] = [0, 0, start];
  const ends = ids.map((id) => {
    bytes += sizeOf(id);
    while (read < bytes && at < end) {
      const code = text.codePointAt(at) ?? 0;
      read += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      at += code < 0x10000 ? 1 : 2;
    }
    return read === bytes ? at : undefined;
  });
  return at === end && read === bytes ? ends : undefined;
}

/** The place itself, or the one before where it lies within a character. */
function atCharacter(text: string, place: number): number {
  return place < text.length && (text.charCodeAt(place) & 0xfc00) === 0xdc00 ? place - 1 : Math.min(place, text.length);
}
