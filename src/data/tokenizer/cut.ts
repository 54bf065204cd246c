/**
 * Cutting a text into pieces, fast, where a tokenizer surely cuts it too: what the tokenizer makes of the pieces, one
 * after the other, is what it makes of the text.
 * - BERT's normaliser works on one character at a time (its decomposition never reaches over a space), and its
 *   pre-tokeniser drops white space and sets punctuation and Chinese characters apart: a text may be cut at each.
 * - GPT-2's pattern ends a match where a run of letters, of digits or of other characters ends, apostrophes aside: a
 *   text may be cut there. (A single space begins what follows it.) Of other patterns (patterns.ts) only the last holds.
 * - Any other tokenizer that splits at white space first may be cut at spaces, if its normaliser does not look over one.
 * - SentencePiece's BPE makes one word of a whole text. Merges never reach over two neighbours that stand side by side
 *   in no entry of its vocabulary: between these a text may be cut. (Not so Unigram, which weighs whole ways through a
 *   word: its words are given whole.)
 * Which class a character has depends on the library's Unicode tables: only characters that are old in Unicode count.
 */
import { isJsonObject, type Json } from "../../util/json.ts";
import { componentsOf } from "./check.ts";

export interface Cut {
  /** The pieces of a text in which no added token stands: one or several words of the tokenizer's each. */
  fine(text: string): readonly string[];
  /** The same at spaces alone. */
  coarse(text: string): readonly string[];
  /** The first place at or after this one at which a text may be cut. */
  place(text: string, from: number): number | undefined;
  /** For a long piece that may be encoded in windows (long-word.ts): the bytes that a token or a word stands for. */
  readonly sizeOf?: (token: string) => number;
  /** The same ids from another text: less, or as the normaliser makes it. */
  ready?(piece: string, normal: (text: string) => string): string;
}

const PRINTABLE_ASCII = /^[ -~]*$/;
const white = String.raw` \t\n\r\xa0\u3000`;
const ascii = "!-/:-@[-`{-~";
const punctuation = String.raw`\u2010-\u2027\u3001-\u3003\u3008-\u3011\uff01\uff0c\uff1a\uff1b\uff1f`;
const chinese = String.raw`\u3400-\u4db5\u4e00-\u9fd5`;
const others = String.raw`A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\u02af\u0391-\u03a1\u03a3-\u03ce\u0400-\u0481\u048a-\u0527\u05d0-\u05ea\u0620-\u064a\u3041-\u3096\u30a1-\u30fa\uac00-\ud7a3`;
const letters = `${others}${chinese}`;
/** Units of the slices in which a long text is cut; a longer piece is long. */
export const LONG = 2 ** 15;

/** The way to cut for a tokenizer, added tokens and what it puts before a text aside; undefined: none is known. @param json tokenizer.json */
export function cutFor(json: Json): Cut | undefined {
  const before = componentsOf(json.pre_tokenizer);
  const normalizers = componentsOf(json.normalizer);
  const model = isJsonObject(json.model) ? json.model : {};
  const [first, second] = before.map(({ type }) => type);
  const only = (...known: readonly string[]) => normalizers.every(({ type }) => known.includes(String(type)));
  if (before.some(({ type }) => type === "ByteLevel")) {
    if (!before.every(keepsSpaces) || !before.some(boundsSpaces) || !only(...forms)) return undefined;
    return second === undefined && first === "ByteLevel" && normalizers.length === 0 ? gpt2 : byPattern;
  }
  if (first === "WhitespaceSplit" && second === "Metaspace") {
    const kept =
      before.length === 2 && before[1].prepend_scheme !== "first" && only("Precompiled", "Replace", ...forms);
    return kept ? cutAt(betweenKnown, betweenKnown) : undefined;
  }
  if (["BertPreTokenizer", "Whitespace", "WhitespaceSplit"].includes(String(first))) {
    if (before.some(({ type }) => type === "Metaspace" || type === "Split")) return undefined;
    if (!only("BertNormalizer", "Lowercase", "StripAccents", "Strip", ...forms)) return undefined;
    const bert = first === "BertPreTokenizer" && before.length === 1 && normalizers.length === 1;
    if (bert && normalizers[0].type === "BertNormalizer")
      return bertCut(normalizers[0].handle_chinese_chars === true, model);
    return { fine: atSpaces, coarse: atSpaces, place: placeOf(/(?= )/g) };
  }
  const replaces =
    normalizers.some((one) => one.type === "Replace" && !isForSpaces(one)) || !only("Prepend", "Replace");
  const splits = before.some(({ type }) => type !== "Metaspace") && !(before.length === 1 && isForSpaces(before[0]));
  return replaces || splits ? undefined : vocabularyCut(model, before.length + normalizers.length > 0);
}

const forms = ["NFC", "NFD", "NFKC", "NFKD"];

function cutAt(fine: RegExp, coarse: RegExp, more: Partial<Cut> = {}): Cut {
  return { fine: (text) => text.split(fine), coarse: (text) => text.split(coarse), place: placeOf(fine), ...more };
}

function placeOf(places: RegExp): Cut["place"] {
  const global = new RegExp(places.source, `g${places.flags.replace("g", "")}`);
  return (text, from) => {
    global.lastIndex = from;
    return global.exec(text)?.index;
  };
}

/** Whether a pre-tokeniser does the same to what stands before and after a single space, cut there or not. */
function keepsSpaces({ type, behavior, invert }: Json): boolean {
  const finds = behavior === "Isolated" ? invert !== true : behavior === "Removed" && invert === true;
  return type === "ByteLevel" || type === "Digits" || (type === "Split" && finds);
}

/** Whether it splits there: all white space that no other alternative takes is a match. */
function boundsSpaces({ type, use_regex, pattern }: Json): boolean {
  if (type === "ByteLevel") return use_regex !== false;
  return isJsonObject(pattern) && /\|\\s\+?$/.test(String(pattern.Regex));
}

/** Whether spaces become ▁, or are looked for once they have. */
function isForSpaces({ type, pattern, content }: Json): boolean {
  const space = isJsonObject(pattern) && pattern.String === " ";
  return space && (type === "Split" || (type === "Replace" && content === "▁"));
}

function bertCut(setsChineseApart: boolean, model: Json): Cut {
  const apart = `${ascii}${punctuation}${setsChineseApart ? chinese : ""}`;
  const piece = new RegExp(`[${apart}]|[^${white}${apart}]+`, "g");
  const places = new RegExp(`(?<=[${white}${apart}])|(?=[${white}${apart}])`, "g");
  // WordPiece makes the unknown token of any word that is longer than this many characters. Of these each leaves one
  // at least in the word, normalised or not, and whatever stands after them goes on with it.
  const most = Number(model.max_input_chars_per_word);
  const kept = String.raw`[0-9${others}\u{1f300}-\u{1f64f}${setsChineseApart ? "" : chinese}][\p{M}\p{Cf}]*`;
  const inner = String.raw`(?:${setsChineseApart ? String.raw`(?!\p{sc=Han})` : ""}[\p{L}\p{M}\p{N}\p{So}\p{Cf}\p{Co}])`;
  const tooLong = new RegExp(`((?:${kept}){${most + 1}})${inner}+`, "gu");
  const ready = most > LONG ? undefined : (text: string) => text.replace(tooLong, "$1");
  return { fine: (text) => text.match(piece) ?? [], coarse: atSpaces, place: placeOf(places), ready };
}

/** Between two characters of which no normaliser makes a space. */
const betweenKnown = new RegExp(`(?<=[${ascii}${punctuation}0-9${letters}]) (?=[${ascii}${punctuation}0-9${letters}])`);

const marks = `${ascii.replace("!-/", "!-&(-/")}${punctuation}`;
const singleSpaces = /(?<=[^\s\p{C}])(?= [^\s\p{C}])/u;
const classes = [
  `(?<=[${letters}])(?=[${white}0-9'${marks}])`,
  `(?<=[0-9])(?=[${white}'${marks}${letters}])`,
  `(?<=[${marks}])(?=[${white}0-9${letters}])`,
];
const places = new RegExp([...classes, singleSpaces.source].join("|"), "u");
const words = /'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+/g;
const byteSize = { sizeOf: (token: string) => token.length };
const gpt2 = cutAt(places, singleSpaces, {
  ...byteSize,
  fine: (text) => (PRINTABLE_ASCII.test(text) ? (text.match(words) ?? []) : text.split(places)),
});
/** No form of normalisation reaches back over one of these, and what is normalised stays so in parts. */
const beforeKnown = placeOf(new RegExp(`(?=[!-~${letters}])`));
const byPattern = cutAt(singleSpaces, singleSpaces, {
  ...byteSize,
  ready: (piece, normal) => [...slices(piece, { place: beforeKnown })].map(normal).join(""),
});

/** @param spaced whether the vocabulary has ▁ for a space */
function vocabularyCut(model: Json, spaced: boolean): Cut | undefined {
  const { type, vocab, merges, ignore_merges } = model;
  // Where words are looked up before they are merged, or bytes are merged, what stands between two places counts too.
  const ofBytes =
    Array.isArray(merges) &&
    merges.some((merge) => /^<0x..>/.test(Array.isArray(merge) ? String(merge[0]) : String(merge)));
  if (type !== "BPE" || ignore_merges === true || ofBytes || !isJsonObject(vocab)) return undefined;
  // A character without a token that leaves nothing behind lets its neighbours merge.
  const leavesNothing = typeof model.unk_token !== "string" || vocab[model.unk_token] === undefined;
  if (leavesNothing && !(model.byte_fallback === true && hasBytes(vocab))) return undefined;
  const beside = new Set<string>();
  const alone = new Set<string>();
  for (const token of Object.keys(vocab)) {
    const characters = Array.from(token);
    if (characters.length === 1) alone.add(token);
    for (let i = 1; i < characters.length; i++) beside.add(characters[i - 1] + characters[i]);
  }
  const at = (text: string, place: number) => {
    const character = String.fromCodePoint(text.codePointAt(place) ?? 0);
    return spaced && character === " " ? "▁" : character;
  };
  const isLow = (text: string, place: number) => (text.charCodeAt(place) & 0xfc00) === 0xdc00;
  const place = (text: string, from: number) => {
    let next = Math.max(1, from);
    if (isLow(text, next)) next++;
    for (let last = at(text, next - (isLow(text, next - 1) ? 2 : 1)); next < text.length; ) {
      const character = at(text, next);
      // What has no token is fused with its like: only what has one may begin a piece.
      if (!beside.has(last + character) && alone.has(character)) return next;
      last = character;
      next += isLow(text, next + 1) ? 2 : 1;
    }
    return undefined;
  };
  const fine = (text: string) => {
    const pieces: string[] = [];
    let start = 0;
    for (let end = place(text, 1); end !== undefined; end = place(text, end + 1)) {
      pieces.push(text.slice(start, end));
      start = end;
    }
    return [...pieces, text.slice(start)];
  };
  const sizeOf = (token: string) => (/^<0x[\dA-F]{2}>$/.test(token) ? 1 : Buffer.byteLength(token));
  const ready = (piece: string) => (spaced ? piece.replaceAll(" ", "▁") : piece);
  return { fine, coarse: (text) => [text], place, sizeOf, ready };
}

function hasBytes(vocab: Json): boolean {
  return Array.from({ length: 256 }, (_, byte) => byte.toString(16).toUpperCase().padStart(2, "0")).every(
    (digits) => vocab[`<0x${digits}>`] !== undefined,
  );
}

export function isPrintableAscii(text: string): boolean {
  return PRINTABLE_ASCII.test(text);
}

/** A long text in slices, each to be cut by itself, so that its pieces need not be in memory all at once. */
export function* slices(text: string, { place }: Pick<Cut, "place">): Generator<string> {
  let start = 0;
  while (text.length - start > LONG) {
    const end = place(text, start + LONG) ?? text.length;
    yield text.slice(start, end);
    start = end;
  }
  if (start < text.length) yield text.slice(start);
}

function atSpaces(text: string): readonly string[] {
  return text.split(" ").filter((chunk) => chunk !== "");
}
