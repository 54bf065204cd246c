/**
 * tokenizer.json damaged in every way. The native library aborts its process for much of what it does not expect, so this
 * file has a process of its own: were anything harmful passed on, it would end, and the test run with it.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { byteLevelJson, wordPieceJson } from "../../src/data/tokenizer/json.ts";
import { specialToken } from "../../src/data/tokenizer/special.ts";
import { openTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { fuzz, mutate, quickFolder } from "./fuzz.ts";
import { howMany } from "./scale.ts";

const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const words = [...special, "a", "b", "##a", "##b", "ab", "##c", "the"];
const names = ["<s>", "</s>", "a", "b", "ab", "Ġ", "Ġa"];
const numbered = (list: readonly string[]) => new Map(list.map((token, id) => [token, id]));

const wordPiece = {
  ...wordPieceJson({}, { vocabulary: numbered(words), merges: [] }, { cls: "[CLS]", sep: "[SEP]" }),
  added_tokens: special.map((token, id) => ({ ...specialToken(id, token) })),
};
const merges = [
  ["a", "b"],
  ["Ġ", "a"],
];
const byteLevel = {
  ...byteLevelJson({}, { vocabulary: numbered(names), merges }, { cls: "<s>", sep: "</s>" }),
  added_tokens: [{ ...specialToken(0, "<s>") }, { ...specialToken(1, "</s>") }],
};

/** Parts that the library has aborted at, or never returned from. */
const hostile = {
  normalizer: {
    type: "Sequence",
    normalizers: [{ type: "Precompiled", precompiled_charsmap: "AAAA" }, { type: "NFKC" }],
  },
  pre_tokenizer: { type: "Split", pattern: { Regex: "(a+)+$" }, behavior: "Isolated", invert: false },
  model: { type: "Unigram", unk_id: 9, vocab: [["a", -1.5]], byte_fallback: false },
  decoder: { type: "Replace", pattern: { String: "" }, content: "x" },
};

const encode = (value: object) => new TextEncoder().encode(JSON.stringify(value));
const sound = [encode(wordPiece), encode(byteLevel)];
const others = [...sound, encode(hostile), encode({ ...wordPiece, ...hostile })];

it("tokenizer.json of random damage gives ids of its vocabulary, or is refused", async () => {
  const folder = quickFolder();
  const texts = ["ab a the <s> x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "", "ü😀 \u0000 [MASK]"];
  const tally = await fuzz(howMany(3_000, 20_000), 5_000_000, 2 ** 16, async (dice) => {
    writeFileSync(join(folder, "tokenizer.json"), mutate(dice.of(sound), dice, dice.of(others), 3));
    const tokenizer = await openTokenizer(folder);
    const { vocabulary, specialIds } = tokenizer.info;
    const { ids, ends } = await tokenizer.encode(texts);
    expect(ends).toHaveLength(texts.length);
    for (const id of [...ids, ...specialIds]) if (!(id < vocabulary)) throw new Error(`id ${id} of ${vocabulary}`);
  });
  console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
  expect(tally.read).toBeGreaterThan(100);
});

it("the files beside it of random damage too", async () => {
  const folder = quickFolder();
  const flags = { lstrip: true, rstrip: false, normalized: true, single_word: false, special: true };
  const decoder = { "0": { content: "[PAD]", ...flags }, "12": { content: "<x>", ...flags }, "7": { content: "ab" } };
  const configs = [
    {
      tokenizer_class: "BertTokenizer",
      do_lower_case: false,
      strip_accents: null,
      additional_special_tokens: ["<x>", "a"],
    },
    { tokenizer_class: "GPT2Tokenizer", add_prefix_space: true, added_tokens_decoder: decoder, image_token: "<i>" },
    { eos_token: { __type: "AddedToken", content: "</s>", ...flags }, extra_special_tokens: { x_token: "<x>" } },
  ].map(encode);
  const maps = [
    { cls_token: "[CLS]", mask_token: { content: "[MASK]", ...flags } },
    { extra_special_tokens: ["", "ü"] },
  ].map(encode);
  const added = [encode({ "<x>": 12, the: 11, zebra: 13 })];
  const models = [encode({ model_type: "roberta", tokenizer_class: "BertTokenizerFast" })];
  const all = [...configs, ...maps, ...added, ...models];
  const texts = ["ab a the <s> x<x>", "ü😀 \u0000 [MASK] zebra", ""];
  const tally = await fuzz(howMany(1_000, 10_000), 7_000_000, 2 ** 16, async (dice) => {
    writeFileSync(join(folder, "tokenizer.json"), dice.of(sound));
    const files = { tokenizer_config: configs, special_tokens_map: maps, added_tokens: added, config: models };
    const damaged = dice.of(Object.keys(files));
    for (const [name, forms] of Object.entries(files)) {
      const bytes = dice.of(forms);
      writeFileSync(join(folder, `${name}.json`), name === damaged ? mutate(bytes, dice, dice.of(all), 2) : bytes);
    }
    const tokenizer = await openTokenizer(folder);
    const { vocabulary, specialIds } = tokenizer.info;
    const { ids } = await tokenizer.encode(texts);
    for (const id of [...ids, ...specialIds]) if (!(id < vocabulary)) throw new Error(`id ${id} of ${vocabulary}`);
  });
  console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
  expect(tally.read).toBeGreaterThan(100);
});

it("an unknown character is not mistaken for what joins the pieces of a text", async () => {
  const folder = quickFolder();
  writeFileSync(
    join(folder, "tokenizer.json"),
    encode({ ...wordPiece, added_tokens: [{ ...specialToken(1, "[UNK]") }] }),
  );
  const tokenizer = await openTokenizer(folder);
  expect(Array.from((await tokenizer.encode(["ab ☃ a", "☃ b"])).ids)).toEqual([9, 1, 5, 1, 6]);
});
