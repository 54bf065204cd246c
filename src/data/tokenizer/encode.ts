/**
 * Texts to ids, fast. The native library decides what the ids are; this decides what it need not be asked twice.
 *
 * A tokenizer splits a text into words before its model sees them, and natural text repeats its words. So a text is
 * cut into pieces where the tokenizer surely cuts it too (cut.ts), and the ids of a piece are kept. Any other
 * tokenizer, and any text that may hold one of the added tokens, is encoded natively as a whole.
 *
 * A native call costs tens of microseconds, so new pieces are asked for many at a time, joined by an added token: the
 * library finds those before anything else and encodes what lies between each by itself.
 */
import type { Tokenizer as Native } from "tokenizers";
import { isJsonObject, type Json } from "../../util/json.ts";
import { cutFor } from "./cut.ts";
import { addedTokens } from "./folder.ts";

/** Ids of several texts: text i's are `ids.subarray(ends[i − 1] ?? 0, ends[i])`. */
export interface EncodedTexts {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly ends: Uint32Array<ArrayBuffer>;
}

/** Longer pieces are not kept. */
const LONGEST_KEPT = 48;
/** Pieces kept before all are forgotten: some 100 MB. */
const MOST_KEPT = 2 ** 20;
/** Pieces that are encoded together. */
const GROUP = 256;

/** @internal */
export class Encoder {
  readonly native: Native;
  readonly #cutter: Cutter | undefined;
  /** Piece → where its ids are in #store: their number, then they. */
  readonly #kept = new Map<string, number>();
  #store = new Uint32Array(2 ** 16);
  #stored = 0;

  constructor(native: Native, json: Json) {
    this.native = native;
    this.#cutter = cutterFor(json, native);
  }

  async encode(texts: readonly string[]): Promise<EncodedTexts> {
    if (this.#kept.size > MOST_KEPT) {
      this.#kept.clear();
      this.#stored = 0;
    }
    // What each piece is: ≥ 0 where it is in #store, < 0: one of those to be encoded now.
    let pieces = new Int32Array(2 ** 16);
    let count = 0;
    const pieceEnds = new Uint32Array(texts.length);
    const asked: string[] = [];
    const whole: string[] = [];
    const numbers = new Map<string, number>();
    for (let i = 0; i < texts.length; i++) {
      const cut = this.#cutter?.cut(texts[i]);
      const more = count + (cut?.length ?? 1);
      if (more > pieces.length) {
        const longer = new Int32Array(Math.max(2 * pieces.length, more));
        longer.set(pieces);
        pieces = longer;
      }
      if (cut === undefined) {
        // Whole texts are even numbers, pieces odd ones.
        pieces[count++] = -2 - 2 * whole.length;
        whole.push(texts[i]);
      } else {
        for (const piece of cut) {
          let place = this.#kept.get(piece) ?? numbers.get(piece);
          if (place === undefined) {
            place = -1 - 2 * asked.length;
            asked.push(piece);
            numbers.set(piece, place);
          }
          pieces[count++] = place;
        }
      }
      pieceEnds[i] = count;
    }
    const wholes = whole.length === 0 ? [] : await this.#native(whole);
    const answers = await this.#ask(asked);
    const answer = (place: number) => (place % 2 === 0 ? wholes[-1 - place / 2] : answers[(-1 - place) / 2]);
    return this.#assemble(pieces.subarray(0, count), pieceEnds, answer);
  }

  async #native(texts: string[]): Promise<number[][]> {
    const encodings = await this.native.encodeBatch(texts, { addSpecialTokens: false });
    return encodings.map((encoding) => encoding.getIds());
  }

  /** The ids of each piece. */
  async #ask(asked: readonly string[]): Promise<readonly (readonly number[])[]> {
    const joint = this.#cutter?.joint;
    if (joint === undefined || asked.length === 0) return [];
    const groups: string[] = [];
    for (let i = 0; i < asked.length; i += GROUP) groups.push(asked.slice(i, i + GROUP).join(joint.content));
    const answers: (readonly number[])[] = [];
    for (const ids of await this.#native(groups)) {
      let start = 0;
      for (let at = ids.indexOf(joint.id); at >= 0; at = ids.indexOf(joint.id, start)) {
        answers.push(ids.slice(start, at));
        start = at + 1;
      }
      answers.push(ids.slice(start));
    }
    if (answers.length !== asked.length) throw new Error("an added token was made of a text that does not hold it");
    answers.forEach((ids, i) => {
      if (asked[i].length <= LONGEST_KEPT) this.#keep(asked[i], ids);
    });
    return answers;
  }

  #keep(piece: string, ids: readonly number[]): void {
    const end = this.#stored + ids.length + 1;
    if (end > this.#store.length) {
      const more = new Uint32Array(Math.max(2 * this.#store.length, end));
      more.set(this.#store);
      this.#store = more;
    }
    this.#store[this.#stored] = ids.length;
    this.#store.set(ids, this.#stored + 1);
    // A piece is a slice that would keep the whole text it was cut from in memory: keep a copy.
    this.#kept.set(Buffer.from(piece, "utf16le").toString("utf16le"), this.#stored);
    this.#stored = end;
  }

  #assemble(pieces: Int32Array, pieceEnds: Uint32Array, answer: (place: number) => readonly number[]): EncodedTexts {
    let total = 0;
    for (const place of pieces) total += place >= 0 ? this.#store[place] : answer(place).length;
    const ids = new Uint32Array(total);
    const ends = new Uint32Array(pieceEnds.length);
    let at = 0;
    let piece = 0;
    for (let text = 0; text < pieceEnds.length; text++) {
      for (; piece < pieceEnds[text]; piece++) {
        const place = pieces[piece];
        if (place >= 0) {
          const last = place + this.#store[place];
          for (let i = place + 1; i <= last; i++) ids[at++] = this.#store[i];
        } else {
          for (const id of answer(place)) ids[at++] = id;
        }
      }
      ends[text] = at;
    }
    return { ids, ends };
  }
}

interface Cutter {
  /** A text's pieces: their ids, in order, are the text's. undefined: it must be encoded whole. */
  cut(text: string): readonly string[] | undefined;
  /** An added token that stands for itself alone, and its id. */
  readonly joint: { readonly content: string; readonly id: number };
}

/** How texts may be cut for this tokenizer; undefined: not at all. */
function cutterFor(json: Json, native: Native): Cutter | undefined {
  const cut = cutFor(json);
  if (cut === undefined || !isJsonObject(json.model) || typeof json.model.dropout === "number") return undefined;
  const tokens = addedTokens(json);
  const added = tokens.map((token) => token.content);
  // Added tokens are looked for by their first character; what starts like a word would be found in every text.
  if (added.some((content) => !/^[!-/:-@[-`{-~]/.test(content) || /\s/.test(content))) return undefined;
  // Its id must come of nothing else: not of an unknown character, and not be another one to the library.
  const { unk_token: unknown } = json.model;
  const joint = tokens.find(
    (token) =>
      !(token.lstrip || token.rstrip || token.single_word || token.normalized || token.content === unknown) &&
      native.tokenToId(token.content) === token.id,
  );
  if (joint === undefined) return undefined;
  const starts = [...new Set(added.map((content) => content[0]))];
  return { joint, cut: (text) => (starts.some((start) => text.includes(start)) ? undefined : cut(text)) };
}
