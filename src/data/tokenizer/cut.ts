/**
 * Cutting a text into pieces, fast, where a tokenizer surely cuts it too: what the tokenizer makes of the pieces, one
 * after the other, is what it makes of the text.
 * - BERT's normaliser works on one character at a time (its decomposition never reaches over a space), and its
 *   pre-tokeniser drops white space and sets punctuation and Chinese characters apart: a text may be cut at each.
 * - GPT-2's pattern ends a match where a run of letters, of digits or of other characters ends, apostrophes aside: a
 *   text may be cut there. (A single space begins what follows it.)
 * - Any other tokenizer that splits at white space first may be cut at spaces, if its normaliser does not look over one.
 * Which class a character has depends on the library's Unicode tables: only characters that are old in Unicode count.
 */
import { isJsonObject, type Json, type JsonValue } from "../../util/json.ts";

export interface Cut {
  /** The pieces of a text in which no added token stands: one or several words of the tokenizer's each. */
  fine(text: string): readonly string[];
  /** The same at spaces alone. */
  coarse(text: string): readonly string[];
  /** Matches the empty places at which a text may be cut; global. */
  readonly places: RegExp;
  /** Whether a long piece may be encoded in windows (long-word.ts). */
  readonly inWindows?: boolean;
  /** The same ids from less text, where a long piece holds words so long that their letters do not matter. */
  shortened?(piece: string, words: (text: string) => readonly string[]): string;
}

const PRINTABLE_ASCII = /^[ -~]*$/;
const white = String.raw` \t\n\r\xa0\u3000`;
const ascii = "!-/:-@[-`{-~";
const punctuation = String.raw`\u2010-\u2027\u3001-\u3003\u3008-\u3011\uff01\uff0c\uff1a\uff1b\uff1f`;
const chinese = String.raw`\u3400-\u4db5\u4e00-\u9fd5`;
const letters = String.raw`A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\u02af\u0391-\u03a1\u03a3-\u03ce\u0400-\u0481\u048a-\u0527\u05d0-\u05ea\u0620-\u064a\u3041-\u3096\u30a1-\u30fa\uac00-\ud7a3${chinese}`;
/** Units of the slices in which a long text is cut; a longer piece is long. */
export const LONG = 2 ** 15;

/** The way to cut for a tokenizer, added tokens aside; undefined: none is known. @param json tokenizer.json */
export function cutFor(json: Json): Cut | undefined {
  const [first, second] = listed(json.pre_tokenizer, "pretokenizers");
  const normalizers = listed(json.normalizer, "normalizers");
  if (first?.type === "ByteLevel" && second === undefined && first.use_regex !== false && normalizers.length === 0) {
    return gpt2;
  }
  const splits = ["BertPreTokenizer", "Whitespace", "WhitespaceSplit"].includes(String(first?.type));
  if (!splits || !normalizers.every(({ type }) => looksOverNoSpace.has(String(type)))) return undefined;
  const bert = first?.type === "BertPreTokenizer" && second === undefined && normalizers[0]?.type === "BertNormalizer";
  if (bert && normalizers.length === 1) {
    return bertCut(normalizers[0].handle_chinese_chars === true, isJsonObject(json.model) ? json.model : {});
  }
  return { fine: atSpaces, coarse: atSpaces, places: /(?= )/g };
}

const looksOverNoSpace: ReadonlySet<string> = new Set(
  "BertNormalizer Lowercase StripAccents NFC NFD NFKC NFKD Strip".split(" "),
);

/** A component, or the components of a sequence. */
function listed(value: JsonValue | undefined, key: string): readonly Json[] {
  if (!isJsonObject(value)) return [];
  const items: JsonValue | undefined = value[key];
  return value.type === "Sequence" && Array.isArray(items) ? items.filter(isJsonObject) : [value];
}

function bertCut(setsChineseApart: boolean, model: Json): Cut {
  const apart = `${ascii}${punctuation}${setsChineseApart ? chinese : ""}`;
  const piece = new RegExp(`[${apart}]|[^${white}${apart}]+`, "g");
  // What is never white space, punctuation or Chinese, normalised or not, goes on with a word.
  const han = setsChineseApart ? String.raw`(?!\p{sc=Han})` : "";
  const inner = new RegExp(String.raw`^(?:${han}[\p{L}\p{M}\p{N}\p{So}\p{Cf}\p{Co}])+$`, "u");
  return {
    fine: (text) => text.match(piece) ?? [],
    coarse: atSpaces,
    places: new RegExp(`(?<=[${white}${apart}])|(?=[${white}${apart}])`, "g"),
    shortened(text, words) {
      let short = "";
      let dropping = false;
      // WordPiece makes the unknown token of any word that is longer than this many characters.
      const most = Number(model.max_input_chars_per_word);
      for (const [head] of text.matchAll(/[\s\S]{1,4096}/gu)) {
        if (!inner.test(head)) dropping = false;
        else if (dropping) continue;
        else dropping = words(head).length === 1 && Array.from(words(head)[0]).length > most;
        short += head;
      }
      return short;
    },
  };
}

const others = `${ascii.replace("!-/", "!-&(-/")}${punctuation}`;
const singleSpaces = String.raw`(?<=[^\s\p{C}])(?= [^\s\p{C}])`;
const classes = [
  `(?<=[${letters}])(?=[${white}0-9'${others}])`,
  `(?<=[0-9])(?=[${white}'${others}${letters}])`,
  `(?<=[${others}])(?=[${white}0-9${letters}])`,
];
const places = new RegExp([...classes, singleSpaces].join("|"), "gu");
const words = /'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+/g;
const gpt2: Cut = {
  fine: (text) => (PRINTABLE_ASCII.test(text) ? (text.match(words) ?? []) : text.split(places)),
  coarse: (text) => text.split(new RegExp(singleSpaces, "u")),
  places,
  inWindows: true,
};

export function isPrintableAscii(text: string): boolean {
  return PRINTABLE_ASCII.test(text);
}

/** A long text in slices, each to be cut by itself, so that its pieces need not be in memory all at once. */
export function* slices(text: string, { places }: Cut): Generator<string> {
  let start = 0;
  while (text.length - start > LONG) {
    places.lastIndex = start + LONG;
    const end = places.exec(text)?.index ?? text.length;
    yield text.slice(start, end);
    start = end;
  }
  if (start < text.length) yield text.slice(start);
}

function atSpaces(text: string): readonly string[] {
  return text.split(" ").filter((chunk) => chunk !== "");
}
