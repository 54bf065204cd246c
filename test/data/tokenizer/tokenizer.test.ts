import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import tokenizers from "tokenizers";
import { expect, test } from "vitest";
import { describeTokenizer } from "../../../src/data/tokenizer/folder.ts";
import { specialToken } from "../../../src/data/tokenizer/special.ts";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import type { Json } from "../../../src/util/json.ts";
import { temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();

function write(name: string, files: Readonly<Record<string, string | Json>>): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const [file, content] of Object.entries(files)) {
    writeFileSync(join(path, file), typeof content === "string" ? content : JSON.stringify(content));
  }
  return path;
}

const bertTokens = [
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
const bytes = tokenizers.byteLevelAlphabet().sort();
const merges = ["Ġ t", "h e", "Ġt he", "Ċ Ċ", "' s"];
const pieces = [...bytes, ...merges.map((merge) => merge.replace(" ", ""))];
const byteVocabulary = (first: readonly string[]) =>
  Object.fromEntries([...first, ...pieces].map((token, id) => [token, id]));

test("vocab.txt: BERT's, lower case unless its config says otherwise", async () => {
  const vocab = `${bertTokens.join("\n")}\n`;
  const plain = await openTokenizer(write("bert", { "vocab.txt": vocab }));
  expect(plain.info.special).toEqual({ cls: 2, sep: 3, mask: 4, pad: 0, unk: 1 });
  expect(plain.info.specialIds).toEqual([0, 1, 2, 3, 4]);
  expect(plain.info.vocabulary).toBe(14);
  const { ids, ends } = await plain.encode(["Café abb.", "", "日日 [MASK] x"]);
  expect(Array.from(ids)).toEqual([5, 7, 9, 11, 13, 13, 4, 1]);
  expect(Array.from(ends)).toEqual([4, 4, 8]);
  const config = { do_lower_case: false, strip_accents: false, mask_token: { content: "." } };
  const cased = await openTokenizer(write("cased", { "vocab.txt": vocab, "tokenizer_config.json": config }));
  expect(Array.from((await cased.encode(["café Café"])).ids)).toEqual([6, 1]);
  expect(cased.info.special.mask).toBe(11);
  expect(cased.info.hash).not.toBe(plain.info.hash);
});

test("vocab.json and merges.txt: GPT-2's and RoBERTa's", async () => {
  const gpt2 = write("gpt2", {
    "vocab.json": byteVocabulary(["<|endoftext|>"]),
    "merges.txt": `#version: 0.2\n${merges.join("\n")}\n`,
  });
  const tokenizer = await openTokenizer(gpt2);
  expect(tokenizer.info.special).toEqual({ eos: 0, bos: 0, unk: 0 });
  expect(tokenizer.info.specialIds).toEqual([0]);
  const { ids } = await tokenizer.encode([" the the<|endoftext|>'s"]);
  expect(Array.from(ids, (id) => tokenizer.tokenOf(id))).toEqual(["Ġthe", "Ġthe", "<|endoftext|>", "'s"]);
  expect(await tokenizer.decode(ids)).toBe(" the the<|endoftext|>'s");
  const roberta = write("roberta", {
    "vocab.json": byteVocabulary(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]),
    "merges.txt": merges.join("\n"),
    "added_tokens.json": { "<extra>": 300 },
  });
  const masked = await openTokenizer(roberta);
  expect(masked.info.special).toEqual({ cls: 0, sep: 2, mask: 4, pad: 1, bos: 0, eos: 2, unk: 3 });
  expect(masked.info.specialIds).toEqual([0, 1, 2, 3, 4]);
});

test("the hash is of what ids depend on, not of how it is written", async () => {
  const { json, roles } = await describeTokenizer(join(folder, "gpt2"));
  const written = write("gpt2-json", {
    "tokenizer.json": {
      ...json,
      decoder: null,
      truncation: { max_length: 2, stride: 0, strategy: "LongestFirst", direction: "Right" },
    },
    "tokenizer_config.json": { tokenizer_class: "GPT2TokenizerFast" },
  });
  const hash = async (path: string) => (await openTokenizer(path)).info.hash;
  expect(roles.eos).toBe("<|endoftext|>");
  expect(await hash(written)).toBe(await hash(join(folder, "gpt2")));
  // A truncation that was left in the file does not cut texts off.
  expect((await (await openTokenizer(written)).encode(["abcdef"])).ids.length).toBe(6);
});

test("what is no tokenizer is refused", async () => {
  const refused = async (path: string, message: RegExp) => expect(openTokenizer(path)).rejects.toThrow(message);
  await refused(write("nothing", { "config.json": "{}" }), /no tokenizer in this folder/);
  const piece = { "tokenizer.model": "not looked at", "config.json": JSON.stringify({ model_type: "mystery" }) };
  await refused(
    write("piece", piece),
    /its tokenizer is tokenizer\.model alone[\s\S]*T\.from_pretrained\("[^"]*piece"\)\.save/,
  );
  await refused(write("damaged", { "tokenizer.json": { model: { type: "BPE" } } }), /not a tokenizer that can be read/);
  await refused(write("words", { "vocab.txt": "one\ntwo\n" }), /no \[UNK\] among its tokens/);
  const vocab = { "vocab.json": byteVocabulary([]) };
  await refused(write("mixed", { ...vocab, "merges.txt": "#version: 0.2\na b\n" }), /merges\.txt:2: not a merge/);
  expect(specialToken(3, "x")).toMatchObject({ id: 3, special: true, lstrip: false });
});
