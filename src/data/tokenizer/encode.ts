/**
 * Texts to ids, fast. The native library decides what the ids are; this decides what it need not be asked twice.
 *
 * A tokenizer splits a text into words before its model sees them, and natural text repeats its words. So a text is
 * cut into pieces where the tokenizer surely cuts it too (parts.ts), and the ids of a piece are kept. Where no way to
 * cut is known, it is encoded natively as a whole.
 *
 * A native call costs tens of microseconds, so new pieces are asked for many at a time, joined by an added token: the
 * library finds those before anything else and encodes what lies between each by itself. It takes some 200 bytes for
 * each byte of text, so it is asked in rounds, however long a text is.
 */
import type { Tokenizer as Native } from "tokenizers";
import type { Json } from "../../util/json.ts";
import { LONG } from "./cut.ts";
import { encodeLong, joinIds } from "./long-word.ts";
import { type Part, type Parting, partingFor } from "./parts.ts";

/** Ids of several texts: text i's are `ids.subarray(ends[i − 1] ?? 0, ends[i])`. */
export interface EncodedTexts {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly ends: Uint32Array<ArrayBuffer>;
}

type Ids = ArrayLike<number>;

/** Longer pieces are not kept. */
const LONGEST_KEPT = 48;
/** Pieces, and ids of theirs, kept before all are forgotten: some 100 MB. */
const MOST_KEPT = 2 ** 20;
const MOST_STORED = 2 ** 23;
/** Pieces that are encoded together. */
const GROUP = 256;
/** Units of text in a round. */
const ROUND = 2 ** 18;

/** @internal */
export class Encoder {
  readonly native: Native;
  readonly #parting: Parting | undefined;
  #plain: Promise<Native> | undefined;
  /** Piece → where its ids are in #store: their number, then they. */
  readonly #kept = new Map<string, number>();
  #store = new Uint32Array(2 ** 16);
  #stored = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** @param json what the native tokenizer was made of */
  constructor(native: Native, json: Json) {
    this.native = native;
    this.#parting = partingFor(native, json);
  }

  encode(texts: readonly string[]): Promise<EncodedTexts> {
    // One call after the other: what a round found kept must be there when it ends.
    const turn = this.#turn.then(() => this.#encode(texts));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #encode(texts: readonly string[]): Promise<EncodedTexts> {
    const done: Uint32Array[] = [];
    const ends = new Uint32Array(texts.length);
    let total = 0;
    let parts: Part[] = [];
    let units = 0;
    // Which texts end after how many of the round's parts.
    let textEnds: [text: number, parts: number][] = [];
    const finish = async () => {
      const { ids, ends: partEnds } = await this.#round(parts);
      for (const [text, count] of textEnds) ends[text] = total + (count === 0 ? 0 : partEnds[count - 1]);
      done.push(ids);
      total += ids.length;
      [parts, units, textEnds] = [[], 0, []];
    };
    for (let i = 0; i < texts.length; i++) {
      for (const part of this.#parting?.parts(texts[i]) ?? [{ pieces: [texts[i]], apart: true }]) {
        parts.push(part);
        for (const piece of part.pieces) units += piece.length;
        if (units >= ROUND) await finish();
      }
      textEnds.push([i, parts.length]);
    }
    await finish();
    return { ids: joinIds(done), ends };
  }

  async #round(parts: readonly Part[]): Promise<EncodedTexts> {
    if (this.#kept.size > MOST_KEPT || this.#stored > MOST_STORED) {
      this.#kept.clear();
      this.#stored = 0;
    }
    // Where in #store each piece's ids are; those of new ones once they are asked for.
    const places: number[] = [];
    const unknown: { readonly at: number; readonly key: string }[] = [];
    const partEnds = parts.map(({ pieces, apart }) => {
      for (const piece of pieces) {
        const key = apart ? APART + piece : piece;
        const place = this.#kept.get(key);
        if (place === undefined) unknown.push({ at: places.length, key });
        places.push(place ?? 0);
      }
      return places.length;
    });
    await this.#learn(new Set(unknown.map(({ key }) => key)));
    for (const { at, key } of unknown) places[at] = this.#kept.get(key) ?? 0;
    const encoded = this.#assemble(places, partEnds);
    for (const { key } of unknown) if (key.length > LONGEST_KEPT) this.#kept.delete(key);
    return encoded;
  }

  async #learn(keys: ReadonlySet<string>): Promise<void> {
    const [long, apart, short]: [string[], string[], string[]] = [[], [], []];
    for (const key of keys) (key.startsWith(APART) ? apart : key.length > LONG ? long : short).push(key);
    for (const [i, ids] of (await this.#askJoined(short)).entries()) this.#keep(short[i], ids);
    for (const piece of long) this.#keep(piece, await this.#askLong(piece));
    const whole = apart.map((key) => key.slice(APART.length));
    for (const [i, ids] of (await ask(this.native, whole)).entries()) this.#keep(apart[i], ids);
  }

  /** What encodes pieces without an added token: it puts nothing before them. */
  #plainNative(): Promise<Native> {
    const plain = this.#parting?.plain;
    this.#plain ??=
      plain === undefined
        ? Promise.resolve(this.native)
        : import("tokenizers").then(({ default: library }) => library.Tokenizer.fromString(JSON.stringify(plain)));
    return this.#plain;
  }

  /** The ids of each piece, none of which holds an added token. */
  async #askJoined(asked: string[]): Promise<readonly (readonly number[])[]> {
    const native = await this.#plainNative();
    const joint = this.#parting?.joint;
    if (joint === undefined || asked.length === 0) return ask(native, asked);
    const groups: string[] = [];
    for (let i = 0; i < asked.length; i += GROUP) groups.push(asked.slice(i, i + GROUP).join(joint.content));
    const answers: (readonly number[])[] = [];
    for (const ids of await ask(native, groups)) {
      let start = 0;
      for (let at = ids.indexOf(joint.id); at >= 0; at = ids.indexOf(joint.id, start)) {
        answers.push(ids.slice(start, at));
        start = at + 1;
      }
      answers.push(ids.slice(start));
    }
    // A tokenizer may make the token of a text that does not hold it (two entries of one id): then each by itself.
    if (answers.length !== asked.length) return ask(native, asked);
    return answers;
  }

  /** The ids of a long piece that holds no added token. */
  async #askLong(piece: string): Promise<Ids> {
    const native = await this.#plainNative();
    const one = async (text: string) => (await ask(native, [text]))[0];
    const { ready, sizeOf } = this.#parting?.cut ?? {};
    const [normalizer, before] = [native.getNormalizer(), native.getPreTokenizer()];
    const text = ready?.(piece, (part) => normalizer?.normalizeString(part) ?? part) ?? piece;
    if (sizeOf === undefined) return one(text);
    const words = (part: string) => before?.preTokenizeString(part).map(([word]) => word) ?? [];
    return encodeLong({ encode: one, words, sizeOf, tokenOf: (id) => native.idToToken(id) ?? "" }, text);
  }

  #keep(piece: string, ids: Ids): void {
    const end = this.#stored + ids.length + 1;
    if (end > this.#store.length) this.#store = joinIds([this.#store], Math.max(2 * this.#store.length, end));
    this.#store[this.#stored] = ids.length;
    this.#store.set(ids, this.#stored + 1);
    // A piece is a slice that would keep the whole text it was cut from in memory: keep a copy.
    const key = piece.length > LONGEST_KEPT ? piece : Buffer.from(piece, "utf16le").toString("utf16le");
    this.#kept.set(key, this.#stored);
    this.#stored = end;
  }

  #assemble(places: readonly number[], partEnds: readonly number[]): EncodedTexts {
    const ids = new Uint32Array(places.reduce((sum, place) => sum + this.#store[place], 0));
    const ends = new Uint32Array(partEnds.length);
    for (let part = 0, piece = 0, at = 0; part < partEnds.length; part++) {
      for (; piece < partEnds[part]; piece++) {
        const place = places[piece];
        const last = place + this.#store[place];
        for (let i = place + 1; i <= last; i++) ids[at++] = this.#store[i];
      }
      ends[part] = at;
    }
    return { ids, ends };
  }
}

/** Before a kept piece that may hold an added token: the second half of a pair, with which no text begins. */
const APART = "\udc00";

async function ask(native: Native, texts: string[]): Promise<readonly (readonly number[])[]> {
  if (texts.length === 0) return [];
  const encodings = await native.encodeBatch(texts, { addSpecialTokens: false });
  return encodings.map((encoding) => encoding.getIds());
}
