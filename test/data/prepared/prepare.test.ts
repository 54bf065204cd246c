import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { trainingBatch } from "../../../src/data/batch/batches.ts";
import { openDataset } from "../../../src/data/prepared/dataset.ts";
import { prepare } from "../../../src/data/prepared/prepare.ts";
import { byteLevelJson } from "../../../src/data/tokenizer/json.ts";
import { specialToken } from "../../../src/data/tokenizer/special.ts";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { RandomStream } from "../../../src/util/random.ts";
import { cli, temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();

/** BERT's form of a vocabulary: special tokens, letters, and letters that carry a word on. */
const bert = join(folder, "bert");
mkdirSync(bert);
const letters = [..."abcdefghijklmnopqrstuvwxyz.,é日"];
const vocabulary = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "[MASK]",
  ...letters,
  ...letters.map((letter) => `##${letter}`),
];
writeFileSync(join(bert, "vocab.txt"), `${vocabulary.join("\n")}\n`);
writeFileSync(join(bert, "tokenizer_config.json"), JSON.stringify({ do_lower_case: true, strip_accents: false }));

/** GPT-2's form: bytes only. */
const gpt2 = join(folder, "gpt2");
mkdirSync(gpt2);
const byteLetters = [..."abcdefghijklmnopqrstuvwxyz.,ĠĊ", "<|endoftext|>"];
const byteVocabulary = new Map(byteLetters.map((letter, id) => [letter, id]));
const end = byteLetters.length - 1;
writeFileSync(
  join(gpt2, "tokenizer.json"),
  JSON.stringify({
    ...byteLevelJson({}, { vocabulary: byteVocabulary, merges: [] }),
    added_tokens: [specialToken(end, "<|endoftext|>")],
  }),
);

/** Documents of some lines of some words, of random lengths. */
function corpus(documents: number, seed: number): string[][] {
  const random = new RandomStream(seed, "test corpus");
  let index = 0;
  const below = (n: number) => random.below(n, index++);
  const word = () => Array.from({ length: 1 + below(6) }, () => letters[below(letters.length)]).join("");
  const words = Array.from({ length: 3000 }, word);
  const line = () => Array.from({ length: 1 + below(12) }, () => words[below(3000)]).join(" ");
  return Array.from({ length: documents }, () => Array.from({ length: 1 + below(5) }, line));
}

const textOf = (documents: string[][]) => documents.map((lines) => `${lines.join("\n")}\n`).join("\n");

/** Each file's SHA-256. */
function hashesOf(path: string): Map<string, string> {
  const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(path.length), createHash("sha256").update(readFileSync(file)).digest("hex")]),
  );
}

const positions = (path: string) => {
  const bytes = readFileSync(path);
  return Array.from({ length: bytes.length / 8 }, (_, i) => Number(bytes.readBigUInt64LE(8 * i)));
};

const tokens = (path: string) => {
  const bytes = readFileSync(path);
  return Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16LE(2 * i));
};

test("the same bytes, whatever the number of workers", async () => {
  const documents = corpus(20_000, 1);
  const half = documents.length / 2;
  const texts = join(folder, "texts");
  mkdirSync(texts);
  writeFileSync(join(texts, "a.txt"), textOf(documents.slice(0, half)));
  const rows = documents.slice(half).map((lines) => JSON.stringify({ text: lines.join("\n") }));
  writeFileSync(join(texts, "b.jsonl.gz"), gzipSync(rows.join("\n")));
  const all = [];
  for (const threads of [1, 2, 4]) {
    const out = join(folder, `threads-${threads}`);
    const { info } = await prepare({ paths: [texts], tokenizer: bert, out, length: 32, threads });
    expect(info.train.documents).toBe(19_800);
    expect(info.validation.documents).toBe(200);
    all.push(hashesOf(out));
  }
  expect(all[0].size).toBe(10);
  expect(all[1]).toEqual(all[0]);
  expect(all[2]).toEqual(all[0]);
});

test.each(["mlm", "mlm+nsp", "clm"] as const)(
  "%s: the examples in order are the same on data of 1, 2 or 4 workers, in one go or carried on",
  async (objective) => {
    const batch = { sequences: 5, accumulate: 2, masked: 0.15 };
    const idsOf = async (threads: number, steps: readonly number[]) => {
      // As a run that is carried on does: the data is opened anew at each of these steps.
      const batches: [readonly number[], Int32Array][] = [];
      for (const [i, from] of steps.entries()) {
        const data = await openDataset(join(folder, `threads-${threads}`));
        for (let step = from; step < (steps[i + 1] ?? 12); step++) {
          for (const micro of [0, 1]) {
            const { examples, ids } = trainingBatch(data, { objective, seed: 5, step, micro, batch });
            batches.push([examples, ids]);
          }
        }
        data.close();
      }
      return batches;
    };
    const whole = await idsOf(1, [0]);
    expect(whole).toHaveLength(24);
    expect(new Set(whole.flatMap(([examples]) => examples)).size).toBe(120);
    for (const [threads, steps] of [
      [2, [0]],
      [4, [0, 3, 4, 11]],
      [1, [0, 7]],
    ] as const) {
      expect(await idsOf(threads, steps)).toEqual(whole);
    }
  },
);

test("documents stay in order, whole, with their lines; exactly the share asked for is held out", async () => {
  const documents = corpus(40, 2);
  const path = join(folder, "small.txt");
  writeFileSync(path, textOf(documents));
  const out = join(folder, "small");
  const { info } = await prepare({ paths: [path], tokenizer: bert, out, length: 16, validation: 0.25 });
  expect(info.validation.documents).toBe(10);
  expect(info.lineBreak).toEqual([]);
  const tokenizer = await openTokenizer(bert);
  const wanted = [];
  for (const lines of documents) {
    const { ids, ends } = await tokenizer.encode(lines);
    wanted.push({ ids: [...ids, 3], lines: [0, ...ends.subarray(0, -1)] });
  }
  const left = [...wanted];
  const found = { train: 0, validation: 0 };
  for (const part of ["train", "validation"] as const) {
    const ids = tokens(join(out, `${part}.tokens`));
    const starts = positions(join(out, `${part}.documents`));
    const lines = positions(join(out, `${part}.lines`));
    expect([starts.at(-1), lines.at(-1)]).toEqual([ids.length, ids.length]);
    expect(info[part]).toEqual({ documents: starts.length - 1, lines: lines.length - 1, tokens: ids.length });
    let last = -1;
    for (let i = 0; i + 1 < starts.length; i++) {
      const document = {
        ids: ids.slice(starts[i], starts[i + 1]),
        lines: lines.filter((line) => line >= starts[i] && line < starts[i + 1]).map((line) => line - starts[i]),
      };
      const at = left.findIndex((one) => JSON.stringify(one) === JSON.stringify(document));
      expect(at).toBeGreaterThanOrEqual(0);
      const place = wanted.indexOf(left[at]);
      expect(place).toBeGreaterThan(last);
      last = place;
      left.splice(at, 1);
      found[part]++;
    }
  }
  expect(found).toEqual({ train: 30, validation: 10 });
  const data = await openDataset(out);
  expect(data.info).toEqual(info);
  expect(existsSync(join(data.tokenizerFolder, "vocab.txt"))).toBe(true);
  const batch = trainingBatch(data, {
    objective: "mlm",
    seed: 0,
    step: 0,
    micro: 0,
    batch: { sequences: 2, accumulate: 1, masked: 0.15 },
  });
  expect(batch.ids.length).toBe(32);
  data.close();
});

test("a tokenizer without [CLS] keeps the line breaks inside a document", async () => {
  const path = join(folder, "lines.jsonl");
  writeFileSync(path, `${JSON.stringify({ text: "a b\nc\n\nd e" })}\n${JSON.stringify({ text: "abc def" })}\n`);
  const out = join(folder, "lines");
  const { info } = await prepare({ paths: [path], tokenizer: gpt2, out, length: 8, validation: 0 });
  const id = (token: string) => byteVocabulary.get(token) ?? -1;
  const wanted = [..."aĠbĊcĊĊdĠe", "<|endoftext|>", ..."abcĠdef", "<|endoftext|>"].map(id);
  expect(tokens(join(out, "train.tokens"))).toEqual(wanted);
  expect(positions(join(out, "train.lines"))).toEqual([0, 4, 7, 11, 19]);
  expect(info.lineBreak).toEqual([id("Ċ")]);
  expect(info.separator).toBe(end);
  expect(info.validation.tokens).toBe(0);
});

test("what can't be prepared is refused, and nothing is written", async () => {
  const good = join(folder, "small.txt");
  const bad = join(folder, "bad.txt");
  writeFileSync(bad, Buffer.from("fine\n\ncaf\xe9\n", "latin1"));
  const blank = join(folder, "blank.txt");
  writeFileSync(blank, "\n \n\n");
  const one = join(folder, "one.txt");
  writeFileSync(one, "a line\nand another one, long enough for a sequence\n");
  const out = join(folder, "refused");
  const refuse = async (paths: string[], more: object, message: RegExp) => {
    const options = { paths, tokenizer: bert, out, length: 16, threads: 2, ...more };
    await expect(prepare(options)).rejects.toThrow(message);
    expect(existsSync(out)).toBe(false);
  };
  await refuse([good, bad], {}, /bad\.txt:3: not UTF-8/);
  await refuse([blank], {}, /the corpus is empty/);
  await refuse([one], {}, /a single document/);
  await refuse([one], { length: 128, validation: 0 }, /do not fill a sequence of 126/);
  await refuse([good], { length: 512, validation: 0.02 }, /held out for validation do not fill/);
  await refuse([good], { length: 4 }, /--length: a sequence of 4 tokens/);
  await refuse([good], { validation: 1 }, /--validation/);
  await refuse([good], { tokenizer: folder }, /no tokenizer in this folder/);
  await refuse([good], { tokenizer: join(folder, "nowhere") }, /no such folder/);
  expect(readdirSync(folder).filter((name) => name.includes(".part"))).toEqual([]);
});

test("the command", () => {
  const path = join(folder, "small.txt");
  const out = join(folder, "command");
  const words = ["prepare", path, "--tokenizer", bert, "--out", out, "--length", "16", "--validation", "0.1", "--json"];
  const done = cli(words);
  expect(done.code).toBe(0);
  expect(JSON.parse(done.stdout)).toMatchObject({
    length: 16,
    validation: { documents: 4 },
    tokenizer: { vocabulary: 65 },
  });
  const before = hashesOf(out);
  const again = cli(words);
  expect(again.code, again.stderr).toBe(0);
  expect(again.stderr).toContain("holds this already; nothing was written");
  expect(JSON.parse(again.stdout)).toMatchObject({
    ...JSON.parse(done.stdout),
    seconds: expect.any(Number),
    already: true,
  });
  const other = cli(words.with(words.indexOf("0.1"), "0.2"));
  expect(other.code).toBe(2);
  expect(other.stderr).toMatch(/the folder exists and is not empty/);
  expect(hashesOf(out)).toEqual(before);
});

test("a line of megabytes takes little memory, and any number of workers gives the same", {
  timeout: 60_000,
}, async () => {
  // Before, the library was given the line as a whole: 200 bytes of memory for each of its own.
  const long = `${"中日日é".repeat(800_000)}\n\n${"A short document.\n".repeat(20)}`;
  const path = join(folder, "long.txt");
  writeFileSync(path, long);
  const peak = join(folder, "peak.mjs");
  writeFileSync(peak, 'process.on("exit", () => console.error("peak", process.resourceUsage().maxRSS));');
  const tokens: string[] = [];
  for (const threads of ["1", "3"]) {
    const out = join(folder, `long-${threads}`);
    const words = ["prepare", path, "--tokenizer", bert, "--out", out, "--length", "16", "--validation", "0"];
    const env = { NODE_OPTIONS: `--import=${peak}` };
    const { stderr, code } = cli([...words, "--threads", threads], { env });
    expect(code).toBe(0);
    const peaks = [...stderr.matchAll(/peak (\d+)/g)].map(([, kilobytes]) => Number(kilobytes) / 1000);
    expect(Math.max(...peaks)).toBeLessThan(700);
    tokens.push(
      createHash("sha256")
        .update(readFileSync(join(out, "train.tokens")))
        .digest("hex"),
    );
  }
  expect(tokens[0]).toBe(tokens[1]);
});
