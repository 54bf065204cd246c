/** Cutting a text never changes an id: against the native library on the whole text, whatever the tokenizer's flags. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import tokenizers from "tokenizers";
import { expect, test, vi } from "vitest";
import { cutFor } from "../../../src/data/tokenizer/cut.ts";
import { Encoder } from "../../../src/data/tokenizer/encode.ts";
import { byteLevelJson, wordPieceJson } from "../../../src/data/tokenizer/json.ts";
import { encodeLong } from "../../../src/data/tokenizer/long-word.ts";
import { specialToken } from "../../../src/data/tokenizer/special.ts";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { isJsonObject, type Json } from "../../../src/util/json.ts";
import { sharedData } from "../../support.ts";

const bytes = tokenizers.byteLevelAlphabet().sort();

function byteLevel(merges: readonly string[], added: readonly Json[], addPrefixSpace = false): Json {
  const pairs = merges.map((merge): [string, string] => [merge.split(" ")[0], merge.split(" ")[1]]);
  const names = [
    ...new Set([...added.map((token) => String(token.content)), ...bytes, ...pairs.map((p) => p.join(""))]),
  ];
  const vocabulary = new Map(names.map((name, id) => [name, id]));
  return {
    ...byteLevelJson({ add_prefix_space: addPrefixSpace }, { vocabulary, merges: pairs }),
    added_tokens: numbered(added),
  };
}

const wordPieces = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  "cafe",
  "café",
  "a",
  "##b",
  "##bb",
  "b",
  ".",
  "'",
  "日",
];
wordPieces.push("zebra", "the", "##s", "0", "##0", "<", "й", "и", "##я");

function wordPiece(added: readonly Json[], lowercase: boolean, chineseCharacters = true): Json {
  const first = wordPieces.slice(0, 5).map((token, id) => specialToken(id, token));
  const extra = added.map((token, i) => ({ ...token, id: wordPieces.length + i }));
  const settings = { do_lower_case: lowercase, tokenize_chinese_chars: chineseCharacters };
  const json = wordPieceJson(
    settings,
    { vocabulary: new Map(wordPieces.map((name, id) => [name, id])), merges: [] },
    {},
  );
  return { ...json, added_tokens: [...first.map((token) => ({ ...token })), ...extra] };
}

function numbered(added: readonly Json[]): Json[] {
  return added.map((token, id) => ({ ...token, id }));
}

function token(content: string, flags: Json = {}): Json {
  return { ...specialToken(0, content), ...flags };
}

const merges = ["Ġ t", "h e", "Ġt he", "Ċ Ċ", "' s", "Ġ Ġ", "ĠĠ ĠĠ", "z e", "a b", "ab ab"];
const eos = "<|endoftext|>";
const lower = { type: "Sequence", normalizers: [{ type: "NFD" }, { type: "Lowercase" }, { type: "StripAccents" }] };

const patterns = {
  llama3: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  qwen2: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
};
const lastByteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };

/** Byte-level BPE whose text is split by what stands before. */
function splitBy(first: Json, last: Json, more: Json = {}, modelMore: Json = {}): Json {
  const json = byteLevel([...merges, "0 1", "01 9", "' t", "Ċ Ċ", ", Ċ"], [token(eos)]);
  const model = { ...(isJsonObject(json.model) ? json.model : {}), ...modelMore };
  return { ...json, model, pre_tokenizer: { type: "Sequence", pretokenizers: [first, last] }, ...more };
}

const split = (pattern: string): Json => ({
  ...{ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
});

/** SentencePiece's BPE: what stands before a text, and merges that may reach over a blank. */
function sentencePiece(how: Json, learnt: readonly string[] = [], fallback = true): Json {
  const pairs = [..."▁t,h e,▁t he,▁▁ ▁▁,▁ ▁,a b,ab ab,日 本,0 1".split(","), ...learnt].map((pair) =>
    pair.includes(" ") ? pair.split(" ") : Array.from(pair),
  );
  const first = ["<unk>", "<s>", "</s>"];
  const all = fallback
    ? Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`)
    : [];
  const names = [...first, ...all, ..."▁abtheszr019'.,!日本中é", ...pairs.map((pair) => pair.join(""))];
  const flags = { dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null, ignore_merges: false };
  return {
    ...{ version: "1.0", truncation: null, padding: null, normalizer: null, pre_tokenizer: null },
    ...{ added_tokens: numbered(first.map((one) => token(one))), post_processor: null, decoder: null },
    model: {
      ...{ type: "BPE", ...flags, unk_token: "<unk>", fuse_unk: true, byte_fallback: fallback },
      vocab: Object.fromEntries([...new Set(names)].map((name, id) => [name, id])),
      merges: pairs,
    },
    ...how,
  };
}

const llama2: Json = {
  type: "Sequence",
  normalizers: [
    { type: "Prepend", prepend: "▁" },
    { type: "Replace", pattern: { String: " " }, content: "▁" },
  ],
};
const metaspace = (prepend_scheme: string, split = false): Json => ({
  pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme, split },
});
const unigram: Json = {
  ...sentencePiece({}),
  added_tokens: numbered([token("<unk>"), token("<s>"), token("<mask>", { lstrip: true })]),
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [{ type: "WhitespaceSplit" }, metaspace("always", true).pre_tokenizer as Json],
  },
  model: {
    ...{ type: "Unigram", unk_id: 0, byte_fallback: false },
    vocab: ["<unk>", "<s>", "<mask>", ..."▁,▁the,▁a,b,ab,e,t,h,日,日本,zebra,0,01,.".split(",")].map((name, i) => [
      name,
      -1 - i / 9,
    ]),
  },
};

const kinds: Readonly<Record<string, Json>> = {
  "Llama 2's": sentencePiece({ normalizer: llama2 }),
  "Llama's class": sentencePiece(metaspace("first")),
  "Llama's class, as of old": sentencePiece(metaspace("always"), ["e ▁", "▁t ▁", ", ▁"]),
  "Mistral's, split at blanks": sentencePiece(metaspace("first", true), ["b ▁"], false),
  "Llama 3's": splitBy(split(patterns.llama3), lastByteLevel, {}, { ignore_merges: true }),
  "Qwen 2's": splitBy(split(patterns.qwen2), lastByteLevel, { normalizer: { type: "NFC" } }),
  "SmolLM's": splitBy({ type: "Digits", individual_digits: true }, { ...lastByteLevel, use_regex: true }),
  "ModernBERT's": {
    ...byteLevel(merges, [token(eos), token("  ", { normalized: true })]),
    normalizer: { type: "NFC" },
  },
  "XLM-R's": unigram,
  gpt2: byteLevel(merges, [token(eos)]),
  "gpt2, found after normalisation": byteLevel(merges, [token(eos, { normalized: true })]),
  "gpt2 with words": byteLevel(merges, [token(eos), token("zebra"), token("ab "), token("<mask>", { lstrip: true })]),
  "gpt2, a mixture": byteLevel(merges, [
    token(eos, { normalized: true }),
    token("<|"),
    token("zebra", { normalized: true }),
  ]),
  "gpt2 without any": byteLevel(merges, []),
  roberta: byteLevel(merges, [token("<s>"), token("</s>"), token("<mask>", { lstrip: true })], true),
  "roberta, both sides": byteLevel(merges, [token("<s>"), token("<mask>", { lstrip: true, rstrip: true })], true),
  "a word alone": byteLevel(merges, [token("<s>"), token("zebra", { single_word: true })]),
  bert: wordPiece([], true),
  cased: wordPiece([], false),
  "bert with words": wordPiece([token("Zebra", { normalized: true, special: false }), token("日本")], true),
  "bert, single words": wordPiece(
    [token("zebra", { normalized: true, single_word: true }), token("東京", { normalized: true })],
    true,
  ),
  "cased with words": wordPiece([token("<mask>", { lstrip: true, normalized: true }), token("the")], false),
  "bert with Chinese words": wordPiece([], true, false),
  "a sequence": { ...wordPiece([token("Zebra", { normalized: true })], true), normalizer: lower },
  "white space": { ...wordPiece([], true), normalizer: { type: "NFKC" }, pre_tokenizer: { type: "WhitespaceSplit" } },
  "white space and digits": {
    ...wordPiece([], true),
    normalizer: lower,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [{ type: "Whitespace" }, { type: "Digits", individual_digits: true }],
    },
  },
  "punctuation alone": {
    ...wordPiece([], true),
    normalizer: null,
    pre_tokenizer: { type: "Punctuation", behavior: "Isolated" },
  },
};

const characters = fc.constantFrom(
  ..."abtheTHES019'.,!-<[]>|_# \t\u00a0\u0085\u2003\u200b\u200d\ufeff\u0301éßΣςσ日本ʼ中😀🏽\u0000\u001cǆİ≮йия、。！\u3000ไท\u0e31",
  ..."     eeeett",
  ...[
    "the ",
    " 's",
    "  ",
    eos,
    "[MASK]",
    "<mask> ",
    " <mask>",
    "zebra",
    "ZEBRA",
    "Zébra",
    "日本",
    "東京",
    "<s>",
    "[SEP]",
    "ab ",
  ],
);
const text = fc.array(characters, { maxLength: 40 }).map((parts) => parts.join(""));

async function same(json: Json, texts: readonly string[]): Promise<void> {
  const encoder = new Encoder(tokenizers.Tokenizer.fromString(JSON.stringify(json)), json);
  const { ids, ends } = await encoder.encode(texts);
  const wanted = await encoder.native.encodeBatch([...texts], { addSpecialTokens: false });
  texts.forEach((one, i) => {
    const found = Array.from(ids.subarray(ends[i - 1] ?? 0, ends[i]));
    const right = Array.from(wanted[i].getIds());
    // Long lists are compared first: their difference takes minutes to print.
    if (found.join() === right.join()) return;
    const at = right.findIndex((id, place) => id !== found[place]);
    const where = `${JSON.stringify(one.slice(0, 200))}: ${found.length} ids, ${right.length}, first unlike at ${at}`;
    expect.fail(`${where}: ${found.slice(at, at + 5)} for ${right.slice(at, at + 5)}`);
  });
  expect(ends.length).toBe(texts.length);
}

test.each(Object.entries(kinds))("%s: short texts", async (_, json) => {
  const property = fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 8 }), (texts) => same(json, texts));
  await fc.assert(property, { numRuns: 100 });
});

test.each(["gpt2", "gpt2, found after normalisation", "bert", "roberta", "a word alone"])(
  "%s: what was seen is not asked for again, beside an added token either",
  async (name) => {
    const encoder = new Encoder(tokenizers.Tokenizer.fromString(JSON.stringify(kinds[name])), kinds[name]);
    const ask = vi.spyOn(encoder.native, "encodeBatch");
    const line = `the zebra ab, ab the${eos} the [SEP] ab<s>`;
    await encoder.encode([line]);
    ask.mockClear();
    await encoder.encode([`ab ${line}`, line.repeat(3)]);
    const asked = ask.mock.calls.flatMap(([texts]) => texts.map((text) => String(text).length));
    expect(asked.filter((length) => length > 12)).toEqual([]);
  },
);

/** Long texts of one line, most without a space. */
const long: Readonly<Record<string, string>> = {
  letters: "ab".repeat(20_000),
  "a genome": Array.from({ length: 40_000 }, (_, i) => "acgt"[(i * i * 7 + (i >> 3)) % 4]).join(""),
  base64: Buffer.from(Uint8Array.from({ length: 30_000 }, (_, i) => (i * i * 31 + (i >> 5)) % 256)).toString("base64"),
  Chinese: "東京の日本、中日。".repeat(4_000),
  "Chinese without a mark": "日本中日本日".repeat(6_000),
  Russian: "ийяия".repeat(7_000),
  Thai: "ไทยไท\u0e31ไท".repeat(5_000),
  emoji: "😀🏽\u200d😀".repeat(5_000),
  spaces: `a${" ".repeat(40_001)}b${"\t".repeat(40_000)} the`,
  apostrophes: `the's${"'".repeat(40_000)}s`,
  "accents and nothing": "e\u0301\u200b".repeat(12_000),
  "with added tokens": `ab${"zebra".repeat(3000)}${eos}${"ab日".repeat(12_000)}<mask>${"ab".repeat(17_000)}[MASK]a`,
  words: "the  zébra's 日本, ab<s> ".repeat(2_000),
  numbers: "0190".repeat(9_000),
  "a long word among others": `the ${"b".repeat(34_000)}. ${"é0".repeat(17_000)}a.b ${"a".repeat(99)} ${"a".repeat(101)}`,
};

test.each(["gpt2, found after normalisation", "bert", "white space", "Llama 2's"])(
  "%s: long texts of all kinds",
  { timeout: 60_000 },
  async (name) => {
    await same(kinds[name], [...Object.values(long), "", "ab"]);
  },
);

const others = ["gpt2, a mixture", "roberta", "cased", "bert with words", "a sequence", "punctuation alone"];
const todays = ["Llama's class, as of old", "Llama 3's", "Qwen 2's", "SmolLM's", "XLM-R's"];
test.each([...others, ...todays])("%s: long texts", { timeout: 60_000 }, async (name) => {
  const { letters, base64, Chinese, spaces, numbers, words } = long;
  await same(kinds[name], [letters, base64, Chinese, spaces, numbers, words, long["with added tokens"]]);
});

test("a word in windows: what byte pair encoding makes of the whole", { timeout: 60_000 }, async () => {
  const pair = fc.tuple(fc.nat(2 ** 20), fc.nat(2 ** 20));
  const few = fc.constantFrom("a", "b");
  const many = fc.constantFrom("a", "b", "c", "é", "я", "0", "'", " ", "!", "日", "s");
  const motif = fc.oneof(
    fc.string({ unit: few, minLength: 20, maxLength: 90 }),
    fc.string({ unit: many, maxLength: 20 }),
  );
  const parts = fc.array(fc.tuple(motif, fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 4 });
  const merged = fc.array(pair, { minLength: 4, maxLength: 40, size: "max" });
  const property = fc.asyncProperty(merged, parts, async (pairs, motifs) => {
    // Merges of what is there already, each put anywhere among the others.
    const symbols = ["a", "b"];
    const learnt: string[] = [];
    for (const [left, right] of pairs) {
      const [a, b] = [symbols[left % symbols.length], symbols[right % symbols.length]];
      if (!learnt.includes(`${a} ${b}`)) learnt.splice((left + right) % (learnt.length + 1), 0, `${a} ${b}`);
      symbols.push(a + b);
      if (symbols.length === 12) symbols.push("Ã", "©", "Ñ", "ı", "Ġ", "'", "!", "0", "c");
    }
    const native = tokenizers.Tokenizer.fromString(JSON.stringify(byteLevel(learnt, [token(eos)])));
    const whole = motifs.map(([some, times]) => some.repeat(times)).join("");
    const encode = async (piece: string) => (await native.encode(piece, null, { addSpecialTokens: false })).getIds();
    const asked = {
      encode,
      words: (text: string) =>
        native
          .getPreTokenizer()
          ?.preTokenizeString(text)
          .map(([word]) => word) ?? [],
      sizeOf: (token: string) => token.length,
      tokenOf: (id: number) => native.idToToken(id) ?? "",
    };
    const ids = await encodeLong(asked, whole, 16);
    expect(Array.from(ids)).toEqual(await encode(whole));
  });
  await fc.assert(property, { numRuns: 300 });
});

test("the characters at which cut.ts cuts are what it takes them for", () => {
  // Of the tens of thousands of characters alike (Chinese, Hangul, private ones) every 64th.
  const alike = (code: number) => (code >= 0x3400 && code < 0xd7a4) || (code >= 0xe000 && code < 0xf900);
  const all = Array.from({ length: 0x10000 }, (_, code) => code)
    .filter((code) => !(alike(code) && code % 64 !== 0) && !(code >= 0xd800 && code < 0xe000))
    .map((code) => String.fromCharCode(code));
  for (const name of ["gpt2", "bert", "cased", "Qwen 2's"]) {
    const json = kinds[name];
    const native = tokenizers.Tokenizer.fromString(JSON.stringify(json));
    const [normalizer, before] = [native.getNormalizer(), native.getPreTokenizer()];
    const cut = cutFor(json);
    const known = new Map<string, readonly string[]>();
    const words = (piece: string) => {
      const found = before?.preTokenizeString(normalizer?.normalizeString(piece) ?? piece).map(([word]) => word) ?? [];
      known.set(piece, found);
      return found;
    };
    let cuts = 0;
    // Each beside a letter (and a digit, a mark of punctuation and an accent); many in one text, for the sake of time.
    for (const beside of name === "gpt2" ? ["a", "0", "!", "\u0301"] : ["a"]) {
      for (let start = 0; start < all.length; start += 64) {
        const text = all
          .slice(start, start + 64)
          .map((letter) => `${beside}${letter}${beside}й`)
          .join(" ");
        const pieces = cut?.fine(text) ?? [];
        cuts += pieces.length - 1;
        const apart = pieces.flatMap((piece) => known.get(piece) ?? words(piece));
        const whole = words(text);
        const wrong = whole.findIndex((word, i) => word !== apart[i]);
        if (wrong >= 0 || apart.length !== whole.length)
          expect.fail(
            `${name}, from ${start.toString(16)}: ${apart.slice(wrong, wrong + 3)} for ${whole.slice(wrong, wrong + 3)}`,
          );
      }
    }
    expect(cuts).toBeGreaterThan(5000);
  }
});

test("a tokenizer of each kind is cut, and what is long asked for in windows where that is proven", () => {
  for (const [name, json] of Object.entries(kinds)) {
    expect([name, cutFor(json) === undefined]).toEqual([name, name === "punctuation alone"]);
  }
  const windows = Object.entries(kinds).filter(([, json]) => cutFor(json)?.sizeOf !== undefined);
  expect(windows.map(([name]) => name)).toEqual(expect.arrayContaining(["gpt2", "Llama 2's", "Llama 3's", "Qwen 2's"]));
  expect(cutFor(unigram)?.sizeOf).toBeUndefined();
  const lookedUp = sentencePiece({ normalizer: llama2 });
  expect(cutFor({ ...lookedUp, model: { ...(lookedUp.model as Json), ignore_merges: true } })).toBeUndefined();
});

const cases = sharedData("..", "cases", "normalized-slow", "t-norm");
test.skipIf(cases === undefined)("an end of text that is found after normalisation: transformers' ids", async () => {
  const root = join(cases ?? "", "..", "..");
  const { texts, folders } = JSON.parse(readFileSync(join(root, "expected.json"), "utf8"));
  const tokenizer = await openTokenizer(join(root, "normalized-slow", "t-norm"));
  const { ids, ends } = await tokenizer.encode(texts);
  const found = Array.from(ends, (end, i) => Array.from(ids.subarray(ends[i - 1] ?? 0, end)));
  expect(found).toEqual(folders["normalized-slow/t-norm"].ids);
});
