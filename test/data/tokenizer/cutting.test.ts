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
import type { Json } from "../../../src/util/json.ts";
import { sharedData } from "../../support.ts";

const bytes = tokenizers.byteLevelAlphabet().sort();

function byteLevel(merges: readonly string[], added: readonly Json[], addPrefixSpace = false): Json {
  const pairs = merges.map((merge): [string, string] => [merge.split(" ")[0], merge.split(" ")[1]]);
  const names = [
    ...new Set([...added.map((token) => String(token.content)), ...bytes, ...pairs.map((p) => p.join(""))]),
  ];
  const vocabulary = new Map(names.map((name, id) => [name, id]));
  return { ...byteLevelJson({ vocabulary, merges: pairs, added: [], addPrefixSpace }), added_tokens: numbered(added) };
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
  const json = wordPieceJson({
    ...{ vocabulary: new Map(wordPieces.map((name, id) => [name, id])), added: first, lowercase, stripAccents: null },
    ...{ chineseCharacters, unknown: "[UNK]" },
  });
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

const kinds: Readonly<Record<string, Json>> = {
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

const someKinds = ["gpt2, found after normalisation", "gpt2, a mixture", "roberta", "bert", "cased", "bert with words"];
someKinds.push("a sequence", "white space", "punctuation alone");

test.each(someKinds.map((name): [string, Json] => [name, kinds[name]]))(
  "%s: long texts",
  { timeout: 60_000 },
  async (_, json) => {
    await same(json, [...Object.values(long), "", "ab"]);
  },
);

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
  await fc.assert(property, { numRuns: 1000 });
});

test("the characters at which cut.ts cuts are what it takes them for", () => {
  const all = Array.from({ length: 0x10000 }, (_, code) => String.fromCharCode(code)).filter((c) => !/\p{Cs}/u.test(c));
  const cutAt = (json: Json, around: (letter: string) => string) => {
    const native = tokenizers.Tokenizer.fromString(JSON.stringify(json));
    const [normalizer, before] = [native.getNormalizer(), native.getPreTokenizer()];
    const cut = cutFor(json);
    let count = 0;
    for (const letter of all) {
      const one = around(letter);
      const pieces = cut?.fine(`${one}й`) ?? [];
      if (pieces.length < 2) continue;
      count++;
      const words = (piece: string) => before?.preTokenizeString(normalizer?.normalizeString(piece) ?? piece) ?? [];
      const apart = pieces.flatMap((piece) => words(piece).map(([word]) => word));
      const whole = words(`${one}й`).map(([word]) => word);
      if (apart.join("\n") !== whole.join("\n"))
        expect.fail(`${letter.codePointAt(0)?.toString(16)}: ${apart} for ${whole}`);
    }
    return count;
  };
  // Each beside a letter, a digit, a mark of punctuation and an accent.
  for (const name of ["gpt2", "bert", "cased"]) {
    let cuts = 0;
    for (const beside of ["a", "0", "!", "\u0301"]) {
      cuts += cutAt(kinds[name], (letter) => `${beside}${letter}${beside}`);
    }
    expect(cuts).toBeGreaterThan(20_000);
  }
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
