/** Tokenizers of today's kinds: what of their files may not reach the library, and documents prepared with them. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openDataset } from "../../../src/data/prepared/dataset.ts";
import { prepare } from "../../../src/data/prepared/prepare.ts";
import { isCharsmap } from "../../../src/data/tokenizer/charsmap.ts";
import { isKnownPattern } from "../../../src/data/tokenizer/patterns.ts";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { trainTokenizer } from "../../../src/data/tokenizer/train.ts";
import { loadStudy } from "../../../src/study/settings.ts";
import type { Json } from "../../../src/util/json.ts";
import { packageRoot } from "../../../src/util/paths.ts";
import { cli, temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();

test("patterns: the published ones, and none that may backtrack without end", () => {
  const letters = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
  const rest = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
  const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  const llama3 = String.raw`${contractions}|${letters}|\p{N}{1,3}|${rest}`;
  const published = [
    llama3,
    llama3.replace("{1,3}", ""),
    llama3.replace("?\\p{L}", "?+\\p{L}"),
    String.raw`\p{N}{1,3}`,
  ];
  published.push(String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`);
  expect(published.filter((pattern) => !isKnownPattern(pattern))).toEqual([]);
  const hostile = ["(a+)+b", `${llama3}|(a|a)*b`, `(${llama3})+`, `${llama3}|`, "", String.raw`(?<=\s)\p{L}+`, "(a"];
  expect(hostile.filter(isKnownPattern)).toEqual([]);
});

test("a table of replacements that leads out of itself is refused", () => {
  const table = (units: readonly number[], texts: string, size = 4 * units.length) => {
    const bytes = Buffer.alloc(4 + 4 * units.length);
    bytes.writeUInt32LE(size, 0);
    units.forEach((unit, i) => {
      bytes.writeUInt32LE(unit >>> 0, 4 + 4 * i);
    });
    return Buffer.concat([bytes, Buffer.from(texts)]).toString("base64");
  };
  // From the root to `a` (0x61), whose leaf, 2 places on, says where its text begins.
  const units = (value: number, step = 2) =>
    Array.from({ length: 256 }, (_, i) =>
      i === 0x61 ? 0x61 | 0x100 | (step << 10) : i === (0x61 ^ step) ? value : 0xff,
    );
  expect(isCharsmap(table(units(2), "b\0c\0"))).toBe(true);
  expect(isCharsmap(table(units(9), "b\0c\0"))).toBe(false);
  expect(isCharsmap(table(units(1), "\u00e9\0"))).toBe(false);
  expect(isCharsmap(table(units(0, 0x4000), "b\0"))).toBe(false);
  expect(isCharsmap(table([0xffffffff, 0], "b"))).toBe(false);
  expect(isCharsmap(table(units(0), "b", 2 ** 31))).toBe(false);
  expect(isCharsmap("no base64!")).toBe(false);
});

/** Llama's: every character, bytes, and words of their own. */
function llama(name: string, template: boolean, config: Json = {}): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  const names = ["<unk>", "<s>", "</s>", ...bytes, ..."▁abcdefghijklmnopqrstuvwxyz.", "▁t", "he", "▁the"];
  const added = names.slice(0, 3).map((content, id) => ({ id, content, special: true, normalized: false }));
  const begins = [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }];
  const json = {
    added_tokens: added.map((token) => ({ ...token, lstrip: false, rstrip: false, single_word: false })),
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: false },
    post_processor: template ? { type: "TemplateProcessing", single: begins, pair: [], special_tokens: {} } : null,
    model: {
      ...{ type: "BPE", unk_token: "<unk>", fuse_unk: true, byte_fallback: true },
      vocab: Object.fromEntries(names.map((token, id) => [token, id])),
      merges: ["▁ t", "h e", "▁t he"],
    },
  };
  writeFileSync(join(path, "tokenizer.json"), JSON.stringify(json));
  const roles = {
    tokenizer_class: "LlamaTokenizer",
    bos_token: "<s>",
    eos_token: "</s>",
    unk_token: "<unk>",
    ...config,
  };
  writeFileSync(join(path, "tokenizer_config.json"), JSON.stringify(roles));
  return path;
}

const corpus = join(folder, "text.txt");
const documents = ["the cat.\nthe  dog.", "a the", "the end.\nof it."];
writeFileSync(corpus, documents.join("\n\n"));

test("documents begin with bos where transformers puts it, are encoded whole, and a flag says otherwise", async () => {
  const cases: [string, boolean, boolean | undefined, boolean, RegExp][] = [
    ["template", true, undefined, true, /each document begins with <s> and ends with <\/s> \(--no-bos/],
    ["template", true, false, false, /each document ends with <\/s>/],
    ["plain", false, undefined, false, /each document ends with <\/s> \(--bos/],
    ["plain", false, true, true, /each document begins with <s>/],
  ];
  for (const [i, [name, template, bos, begins, said]] of cases.entries()) {
    const tokenizer = llama(name, template);
    const out = join(folder, `out-${i}`);
    const notes: string[] = [];
    const note = (text: string) => notes.push(text);
    await prepare({ paths: [corpus], tokenizer, out, length: 8, validation: 0, threads: 1, bos, note });
    expect(notes).toEqual([expect.stringMatching(said)]);
    const opened = await openTokenizer(tokenizer);
    expect(opened.info.special).toEqual({ bos: 1, eos: 2, unk: 0 });
    const wanted: number[] = [];
    for (const text of documents) wanted.push(...(begins ? [1] : []), ...(await opened.encode([text])).ids, 2);
    const bytes = readFileSync(join(out, "train.tokens"));
    expect(Array.from({ length: bytes.length / 2 }, (_, at) => bytes.readUInt16LE(2 * at))).toEqual(wanted);
    const dataset = await openDataset(out);
    expect([dataset.info.bos, dataset.info.separator, dataset.info.train.documents]).toEqual([
      begins ? 1 : undefined,
      2,
      3,
    ]);
    expect(Array.from(documents, (_, at) => wanted[dataset.train.documents().at(at)] === 1)).toEqual(
      Array(3).fill(begins),
    );
    dataset.close();
  }
});

test("a run is understood where a tokenizer or a study's source is wanted; bos is refused where there is none", () => {
  const run = join(folder, "run");
  const model = llama("run/model", true);
  writeFileSync(join(model, "config.json"), JSON.stringify({ model_type: "llama" }));
  const words = [
    "prepare",
    corpus,
    "--tokenizer",
    run,
    "--out",
    join(folder, "of-run"),
    "--length",
    "8",
    "--validation",
    "0",
  ];
  const done = cli(words);
  expect([done.code, done.stderr]).toEqual([0, expect.stringMatching(/run is a run: its model is read/)]);
  const none = llama("none", false, { bos_token: null });
  const refused = cli(["prepare", corpus, "--tokenizer", none, "--out", join(folder, "no"), "--length", "8", "--bos"]);
  expect([refused.code, refused.stderr]).toEqual([
    2,
    expect.stringMatching(/--bos: its tokenizer has no bos token\nhint: leave it out/),
  ]);
});

test("a trained tokenizer is the same beside the config.json of a model of today", async () => {
  for (const [special, types] of [
    ["gpt2", ["llama", "mistral", "qwen3"]],
    ["roberta", ["modernbert", "xlm-roberta"]],
  ] as const) {
    const out = join(folder, special);
    await trainTokenizer({ paths: [corpus], out, kind: "bpe", vocabulary: 270, special });
    const { info } = await openTokenizer(out);
    for (const type of types) {
      writeFileSync(join(out, "config.json"), JSON.stringify({ model_type: type }));
      expect([type, (await openTokenizer(out)).info]).toEqual([type, info]);
    }
    const needed =
      special === "gpt2" ? { eos: expect.any(Number) } : { cls: expect.any(Number), mask: expect.any(Number) };
    expect(info.special).toMatchObject(needed);
  }
});

test("a study's source may be a run", async () => {
  const path = join(folder, "study.yaml");
  const training = "objective: clm\nbatch: { sequences: 4 }\nevaluate: { every: 2 }\noptimizer: { lr: 1e-3 }";
  const rest = `budget: { steps: 4 }\n${training}\nmethods: { scratch: {} }\n`;
  writeFileSync(
    path,
    `title: t\nout: out\ndata: { from: data }\nsource: { from: run }\ntarget: { hidden: 32 }\n${rest}`,
  );
  const said: string[] = [];
  const { source } = await loadStudy(path, [], { say: (text) => said.push(text) });
  expect(source).toEqual({ from: join(folder, "run", "model") });
  expect(said).toEqual([expect.stringMatching(/is a run: its model is read/)]);
});

test("what begins with a space once normalised gets none, and pieces beyond U+FFFF are told from those apart", async () => {
  const { Tokenizer } = (await import("tokenizers")).default;
  const json = JSON.parse(
    readFileSync(`${packageRoot()}test/fixtures/tokenizer-cases/config-overrides/t-aps/tokenizer.json`, "utf8"),
  );
  const place = join(folder, "prefixed");
  mkdirSync(place);
  const form = { type: "NFKC" };
  const given = { ...json, normalizer: form, pre_tokenizer: { ...json.pre_tokenizer, add_prefix_space: true } };
  writeFileSync(join(place, "tokenizer.json"), JSON.stringify(given));
  const native = Tokenizer.fromString(JSON.stringify(given));
  const tokenizer = await openTokenizer(place);
  const texts = [
    "\u00a0an x",
    "\u3000an",
    " an",
    "an",
    "\u00a0\u00a0an",
    "\u{10019} a",
    "\u{10214}<|endoftext|>\u{100d0}b",
  ];
  // Again, when the pieces are kept.
  for (const _ of [1, 2]) {
    const { ids, ends } = await tokenizer.encode(texts);
    for (const [i, text] of texts.entries()) {
      const wanted = (await native.encode(text, null, { addSpecialTokens: false })).getIds();
      expect([text, ...ids.subarray(ends[i - 1] ?? 0, ends[i])]).toEqual([text, ...wanted]);
    }
  }
});
