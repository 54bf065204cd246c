import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { sourceOf } from "../../../src/data/text/sources.ts";
import { learnMerges } from "../../../src/data/tokenizer/merges.ts";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { trainTokenizer } from "../../../src/data/tokenizer/train.ts";
import { countWords } from "../../../src/data/tokenizer/word-counts.ts";
import { cli, fixture, temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();
const cases: string[] = JSON.parse(readFileSync(fixture("tokenizers", "hard-cases.json"), "utf8"));

/** Some English, some of everything; the words of the first part repeat. */
function corpus(name: string): string {
  const words = "the old miller walked to the river and asked his daughters whether they'd seen 3 grey herons".split(
    " ",
  );
  const lines = Array.from({ length: 600 }, (_, i) =>
    Array.from({ length: 12 }, (_, j) => words[(i * i + j * 7 + (i >> 2) * j) % words.length]).join(" "),
  );
  const path = join(folder, name);
  const texts = [...lines, ...cases].map((text) => JSON.stringify({ text }));
  writeFileSync(path, texts.join("\n"));
  return path;
}

/** The definition, without any bookkeeping: count all pairs anew for every merge. */
function plainMerges(words: readonly (readonly number[])[], counts: readonly number[], names: string[], size: number) {
  let current = words.map((word) => [...word]);
  const merges = [];
  while (names.length < size) {
    const pairs = new Map<string, { left: number; right: number; count: number }>();
    current.forEach((word, w) => {
      for (let i = 0; i + 1 < word.length; i++) {
        const key = `${word[i]} ${word[i + 1]}`;
        const pair = pairs.get(key) ?? { left: word[i], right: word[i + 1], count: 0 };
        pair.count += counts[w];
        pairs.set(key, pair);
      }
    });
    const [best] = [...pairs.values()].sort((a, b) => b.count - a.count || a.left - b.left || a.right - b.right);
    if (best === undefined) break;
    const name = names[best.left] + names[best.right];
    if (!names.includes(name)) names.push(name);
    const merged = names.indexOf(name);
    merges.push({ left: best.left, right: best.right, merged });
    current = current.map((word) => {
      const next: number[] = [];
      for (let i = 0; i < word.length; i++) {
        const hit = word[i] === best.left && word[i + 1] === best.right;
        next.push(hit ? merged : word[i]);
        if (hit) i++;
      }
      return next;
    });
  }
  return merges;
}

test("merges are those of the plain definition, ties and repetitions included", () => {
  const word = fc.array(fc.nat(2), { minLength: 1, maxLength: 9 });
  const entry = fc.tuple(word, fc.integer({ min: 1, max: 5 }));
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1, maxLength: 12 }), fc.integer({ min: 3, max: 30 }), (entries, size) => {
      const names = ["a", "b", "c"];
      const starts = new Int32Array(entries.length + 1);
      entries.forEach(([letters], i) => {
        starts[i + 1] = starts[i] + letters.length;
      });
      const words = {
        symbols: Int32Array.from(entries.flatMap(([letters]) => letters)),
        starts,
        counts: Float64Array.from(entries, ([, count]) => count),
      };
      const merges = learnMerges(words, { names, join: (left, right) => left + right }, size);
      const wordsOf = entries.map(([letters]) => letters);
      const countsOf = entries.map(([, count]) => count);
      const plainNames = ["a", "b", "c"];
      expect(merges).toEqual(plainMerges(wordsOf, countsOf, plainNames, size));
      expect(names).toEqual(plainNames);
    }),
    { numRuns: 500 },
  );
});

test("words are counted as the tokenizer cuts them", async () => {
  const path = corpus("count.jsonl");
  for (const name of ["uncased", "gpt2"]) {
    const { description } = await openTokenizer(fixture("tokenizers", name));
    const { default: library } = await import("tokenizers");
    const native = library.Tokenizer.fromString(JSON.stringify(description.json));
    const wanted = new Map<string, number>();
    const [normalizer, before] = [native.getNormalizer(), native.getPreTokenizer()];
    const lines = readFileSync(path, "utf8").split("\n");
    for (const line of lines.flatMap((row): string[] =>
      JSON.parse(row).text.trim() === "" ? [] : trimmed(JSON.parse(row).text),
    )) {
      for (const [word] of before?.preTokenizeString(normalizer?.normalizeString(line) ?? line) ?? []) {
        wanted.set(word, (wanted.get(word) ?? 0) + 1);
      }
    }
    const counted = await countWords([sourceOf(path)], description.json);
    expect(Object.fromEntries(counted)).toEqual(Object.fromEntries(wanted));
  }
});

/** A JSON text's lines as the reader gives them: blank ones at both ends dropped. */
function trimmed(text: string): string[] {
  const lines = text.split(/\r?\n/);
  while (lines.length > 0 && lines[lines.length - 1].trim() === "") lines.pop();
  while (lines.length > 0 && lines[0].trim() === "") lines.shift();
  return lines;
}

for (const [kind, more, vocabulary] of [
  ["wordpiece", { lowercase: true }, 300],
  ["wordpiece", {}, 320],
  ["bpe", {}, 500],
  ["bpe", { special: "roberta" }, 400],
] as const) {
  test(`${kind} ${JSON.stringify(more)}: the same bytes twice, of the size asked for, in a form that opens`, async () => {
    const path = corpus("train.jsonl");
    const outs = [1, 2].map((i) => join(folder, `${kind}-${vocabulary}-${i}`));
    for (const out of outs) {
      const result = await trainTokenizer({ paths: [path], out, kind, vocabulary, ...more });
      expect(result.vocabulary).toBe(vocabulary);
    }
    const files = readdirSync(outs[0]).sort();
    expect(files.length).toBe(kind === "bpe" ? 6 : 5);
    for (const file of files) {
      expect(readFileSync(join(outs[1], file), "utf8")).toBe(readFileSync(join(outs[0], file), "utf8"));
    }
    const tokenizer = await openTokenizer(outs[0]);
    expect(tokenizer.info.vocabulary).toBe(vocabulary);
    const { ids } = await tokenizer.encode(["the old miller asked whether they'd seen grey herons"]);
    // Frequent words became single tokens; "they'd" is three of them, or two and a contraction.
    expect(ids.length).toBeLessThanOrEqual(12);
    if (kind === "bpe") {
      const all = cases.filter((text) => !/[<[]/.test(text));
      for (const text of all) {
        expect(await tokenizer.decode((await tokenizer.encode([text])).ids)).toBe(text);
      }
    }
  });
}

test("vocab.txt alone, or vocab.json and merges.txt, are the same tokenizer as tokenizer.json", async () => {
  for (const name of ["wordpiece-300-1", "bpe-500-1", "bpe-400-1"]) {
    const whole = (await openTokenizer(join(folder, name))).info;
    const files = readdirSync(join(folder, name)).filter((file) => file !== "tokenizer.json");
    const bare = join(folder, `${name}-bare`);
    const { cpSync, mkdirSync } = await import("node:fs");
    mkdirSync(bare);
    for (const file of files) cpSync(join(folder, name, file), join(bare, file));
    expect((await openTokenizer(bare)).info).toEqual(whole);
  }
});

test("RoBERTa's mask takes the blank before it, and texts are cut off at a length", async () => {
  const roberta = await openTokenizer(join(folder, "bpe-400-1"));
  const { ids } = await roberta.encode(["the <mask> mill"]);
  expect(Array.from(ids, (id) => roberta.tokenOf(id)).join("")).toBe("the<mask>Ġmill");
  for (const [name, most] of [
    ["wordpiece-300-1", 512],
    ["bpe-500-1", 1024],
    ["bpe-400-1", 512],
  ] as const) {
    const config = JSON.parse(readFileSync(join(folder, name, "tokenizer_config.json"), "utf8"));
    expect([name, config.model_max_length]).toEqual([name, most]);
  }
});

test("what can't be trained is refused; a small corpus gives what it has", async () => {
  const path = corpus("refused.jsonl");
  const out = join(folder, "refused");
  const options = { paths: [path], out, vocabulary: 500 };
  await expect(trainTokenizer({ ...options, kind: "bpe", vocabulary: 256 })).rejects.toThrow(/name at least 257/);
  await expect(trainTokenizer({ ...options, kind: "bpe", lowercase: true })).rejects.toThrow(/--lowercase/);
  await expect(trainTokenizer({ ...options, kind: "wordpiece", special: "gpt2" })).rejects.toThrow(/--special/);
  const blank = join(folder, "blank");
  writeFileSync(blank, "\n\n");
  await expect(trainTokenizer({ ...options, kind: "bpe", paths: [blank] })).rejects.toThrow(/the corpus is empty/);
  const tiny = join(folder, "tiny");
  writeFileSync(tiny, "abc abc");
  const words = ["tokenizer", "train", tiny, "--kind", "bpe", "--vocab", "300", "--out", out];
  const done = cli([...words, "--json"]);
  expect(done.code).toBe(0);
  // ab, abc, Ġa, Ġab… : "abc" and "Ġabc" end the merges.
  expect(JSON.parse(done.stdout)).toMatchObject({ vocabulary: 257 + 3, words: 2 });
  const again = cli([...words, "--json"]);
  expect(again.code, again.stderr).toBe(0);
  expect(JSON.parse(again.stdout)).toMatchObject({ vocabulary: 257 + 3, words: 2, already: true });
  expect(cli([...words.slice(0, 5), "--vocab", "299", "--out", out]).stderr).toMatch(/exists and is not empty/);
  writeFileSync(join(out, "mine.txt"), "");
  rmSync(join(out, "SHA256SUMS"));
  expect(cli(words).stderr).toMatch(/exists and is not empty/);
  expect(cli([...words.slice(0, 3), "--vocab", "300", "--out", out]).code).toBe(2);
});
