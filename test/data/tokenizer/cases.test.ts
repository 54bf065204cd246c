/**
 * Folders as people have them, read as transformers 5.24 reads them (test/fixtures/tokenizer-cases/expected.json holds
 * what it said), and the same tokenizer in the forms in which the Hub has it.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { beyondVocabulary } from "../../../src/data/tokenizer/beyond.ts";
import { describeTokenizer } from "../../../src/data/tokenizer/folder.ts";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { isJsonObject, type Json } from "../../../src/util/json.ts";
import { fixture, temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();

interface Expected {
  readonly texts: string[];
  readonly folders: Readonly<Record<string, { ids: number[][]; special: number[]; roles: Record<string, number> }>>;
}
const expected: Expected = JSON.parse(readFileSync(fixture("tokenizer-cases", "expected.json"), "utf8"));

for (const [name, wanted] of Object.entries(expected.folders)) {
  test(`${name}: ids, special tokens and roles are transformers'`, async () => {
    const tokenizer = await openTokenizer(fixture("tokenizer-cases", name));
    const { ids, ends } = await tokenizer.encode(expected.texts);
    const found = expected.texts.map((_, i) => Array.from(ids.subarray(ends[i - 1] ?? 0, ends[i])));
    const roles = Object.entries(tokenizer.info.special).map(([role, id]) => [`${role}_token`, id]);
    expect(found).toEqual(wanted.ids);
    expect(tokenizer.info.specialIds).toEqual([...wanted.special].sort((a, b) => a - b));
    expect(Object.fromEntries(roles)).toEqual(wanted.roles);
  });
}

function write(name: string, from: string, names: readonly string[], files: Readonly<Record<string, Json>>): string {
  const path = join(folder, name);
  mkdirSync(path);
  for (const file of names) cpSync(join(from, file), join(path, file));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), JSON.stringify(content));
  return path;
}

/** tokenizer.json as the first versions of the library wrote it: no type of the model, merges as strings. */
async function legacy(from: string): Promise<Json> {
  const { json } = await describeTokenizer(from);
  const { type: _, ...model } = isJsonObject(json.model) ? json.model : {};
  const merges = Array.isArray(model.merges)
    ? model.merges.map((pair) => (Array.isArray(pair) ? pair.join(" ") : pair))
    : [];
  const { use_regex: __, ...before } = isJsonObject(json.pre_tokenizer) ? json.pre_tokenizer : {};
  return { ...json, pre_tokenizer: before, model: "merges" in model ? { ...model, merges } : model };
}

test("BERT's, GPT-2's and RoBERTa's as they are published are one tokenizer in every form", async () => {
  const forms = [
    ["uncased", ["vocab.txt"], { do_lower_case: true, model_max_length: 512 }, "bert"],
    ["cased", ["vocab.txt"], { do_lower_case: false, model_max_length: 512 }, "bert"],
    ["gpt2", ["vocab.json", "merges.txt"], { model_max_length: 1024 }, "gpt2"],
    ["roberta", ["vocab.json", "merges.txt"], { model_max_length: 512 }, "roberta"],
  ] as const;
  for (const [name, files, settings, type] of forms) {
    const from = fixture("tokenizers", name);
    const config = { "config.json": { model_type: type }, "tokenizer_config.json": settings };
    const whole = { ...config, "tokenizer.json": await legacy(from) };
    const { info } = await openTokenizer(from);
    expect((await openTokenizer(write(`${name}-old`, from, files, whole))).info).toEqual(info);
    expect((await openTokenizer(write(`${name}-json`, from, [], whole))).info).toEqual(info);
    expect((await openTokenizer(write(`${name}-files`, from, files, config))).info).toEqual(info);
    // Without config.json nothing but the files themselves tells whose they are.
    const alone = write(`${name}-alone`, from, files, { "tokenizer_config.json": settings });
    expect((await openTokenizer(alone)).info).toEqual(info);
  }
});

test("what nobody knows counts for nothing, and what is random is switched off", async () => {
  const from = fixture("tokenizer-cases", "bpe-dropout", "t-drop");
  const stored: Json = JSON.parse(readFileSync(join(from, "tokenizer.json"), "utf8"));
  const model = isJsonObject(stored.model) ? stored.model : {};
  const before = isJsonObject(stored.pre_tokenizer) ? stored.pre_tokenizer : {};
  const steady = write("steady", from, [], {
    "tokenizer.json": {
      ...stored,
      to_come: [1],
      pre_tokenizer: { ...before, to_come: true },
      model: { ...model, dropout: null, fuse_unk: null, to_come: {} },
    },
  });
  const [random, fixed] = [await openTokenizer(from), await openTokenizer(steady)];
  expect(random.info).toEqual(fixed.info);
  expect(random.description.notes).toEqual([expect.stringMatching(/dropout of 0\.1 is switched off/)]);
  expect(fixed.description.notes).toEqual([]);
  const texts = ["The Miller mends the kettle and sharpens the knives.", "wonderful"];
  const all = await Promise.all(Array.from({ length: 20 }, () => random.encode(texts)));
  for (const { ids } of all) expect(Array.from(ids)).toEqual(Array.from((await fixed.encode(texts)).ids));
});

test("a class that is not known is said, and tokenizer.json taken as it stands", async () => {
  const from = fixture("tokenizer-cases", "config-overrides", "t-lc1");
  const strange = write("strange", from, ["tokenizer.json"], {
    "tokenizer_config.json": { tokenizer_class: "BertJapaneseTokenizer", do_lower_case: false },
  });
  const plain = write("plain", from, ["tokenizer.json"], {});
  const tokenizer = await openTokenizer(strange);
  expect(tokenizer.description.notes).toEqual([
    expect.stringMatching(/tokenizer_class BertJapaneseTokenizer is not known/),
  ]);
  expect(tokenizer.info).toEqual((await openTokenizer(plain)).info);
});

test("what a tokenizer has beyond a model's vocabulary is said where it matters", async () => {
  const larger = fixture("tokenizer-cases", "own-tokenizer-larger", "m-g400");
  expect(await beyondVocabulary(larger, 401, false)).toBeUndefined();
  expect(await beyondVocabulary(larger, 400, false)).toMatch(/of 400 has no entry for "\[PAD\]".*prepare --model/);
  const blank = write("blank", fixture("tokenizers", "uncased"), ["tokenizer_config.json"], {});
  const vocab = readFileSync(fixture("tokenizers", "uncased", "vocab.txt"), "utf8");
  writeFileSync(join(blank, "vocab.txt"), `${vocab}\n`);
  const entries = vocab.trimEnd().split("\n").length;
  expect((await openTokenizer(blank)).info.vocabulary).toBe(entries + 1);
  expect(await beyondVocabulary(blank, entries, true)).toBeUndefined();
  expect(await beyondVocabulary(blank, 4, true)).toMatch(/the mask token is among them, and without it nothing/);
  expect(await beyondVocabulary(join(folder, "nowhere"), 4, true)).toBeUndefined();
});
