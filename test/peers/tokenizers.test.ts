/**
 * Tokenizers against Python's tokenizers on Wikipedia text: no id differs, and a vocabulary trained here compresses the
 * text as well as one that Python's trainer made (within 2 % of the tokens). BERT2BERT_LINES sets how many lines are
 * compared (default 2,000); where transformers loads the tokenizer, 2,000 at most.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { openTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { trainTokenizer } from "../../src/data/tokenizer/train.ts";
import { fixture, python, sharedData, temporaryFolder } from "../support.ts";

const peer = python(["tokenizers", "transformers"]);
const wikipedia = sharedData("wikipedia");
const folder = temporaryFolder();
const wanted = Number(process.env.BERT2BERT_LINES ?? 2000);
/** Only ends what hangs: 200,000 lines take minutes. */
const timeout = 3600_000;

/** Encodes a text's lines by each tokenizer and writes where each line ends, then all ids, as 32-bit integers. */
const ENCODE = `
import sys, array
from tokenizers import Tokenizer
from transformers import AutoTokenizer
text, *jobs = sys.argv[1:]
lines = open(text, encoding="utf-8", newline="\\n").read().split("\\n")
for kind, folder, out in zip(jobs[0::3], jobs[1::3], jobs[2::3]):
    if kind == "transformers":
        tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    else:
        tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
    ids = array.array("I")
    ends = array.array("I")
    some = lines if kind == "tokenizers" else lines[:2000]
    for start in range(0, len(some), 2000):
        for one in tokenizer.encode_batch(some[start : start + 2000], add_special_tokens=False):
            ids.extend(one.ids)
            ends.append(len(ids))
    ends.extend(ids)
    open(out, "wb").write(ends.tobytes())
`;

const TRAIN = `
import sys
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
kind, text, out, size = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
if kind == "bpe":
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
else:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False)
tokenizer.train([text], trainer)
tokenizer.save(out)
`;

/** The first lines of the text, in a file of their own. */
function someLines(count: number): { path: string; lines: string[] } {
  const lines: string[] = [];
  for (let part = 1; part <= 4 && lines.length < count; part++) {
    const path = join(wikipedia ?? "", `part-${part}.txt.gz`);
    lines.push(...gunzipSync(readFileSync(path)).toString("utf8").split("\n"));
  }
  lines.length = Math.min(lines.length, count);
  const path = join(folder, `wikipedia-${count}.txt`);
  writeFileSync(path, lines.join("\n"));
  return { path, lines };
}

test.skipIf(peer === undefined || wikipedia === undefined)("no id differs from Python's", { timeout }, async () => {
  const { path, lines: all } = someLines(wanted);
  const jobs = [];
  for (const name of ["uncased", "cased", "gpt2", "roberta"]) {
    jobs.push({ name, from: "transformers", tokenizerFolder: fixture("tokenizers", name) });
  }
  for (const kind of ["wordpiece", "bpe"] as const) {
    const tokenizerFolder = join(folder, kind);
    await trainTokenizer({ paths: [path], out: tokenizerFolder, kind, vocabulary: 8192 });
    for (const from of ["tokenizers", "transformers"]) jobs.push({ name: kind, from, tokenizerFolder });
  }
  const outOf = (job: { name: string; from: string }) => join(folder, `${job.name}-${job.from}.bin`);
  peer?.run(ENCODE, [path, ...jobs.flatMap((job) => [job.from, job.tokenizerFolder, outOf(job)])]);
  for (const job of jobs) {
    const { name, from, tokenizerFolder } = job;
    const out = outOf(job);
    const lines = from === "tokenizers" ? all : all.slice(0, 2000);
    const bytes = readFileSync(out);
    const numbers = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const tokenizer = await openTokenizer(tokenizerFolder);
    let line = 0;
    let at = lines.length;
    let differing = 0;
    for (let start = 0; start < lines.length; start += 3000) {
      const { ids, ends } = await tokenizer.encode(lines.slice(start, start + 3000));
      for (const end of ends) if (numbers[line++] !== end + at - lines.length) differing++;
      for (const id of ids) if (numbers[at++] !== id) differing++;
    }
    console.log(`${name} (${from}): ${lines.length} lines, ${at - lines.length} tokens, ${differing} ids differ`);
    expect([name, line, at, differing]).toEqual([name, lines.length, numbers.length, 0]);
  }
});

test.skipIf(peer === undefined || wikipedia === undefined)(
  "a trained vocabulary compresses as Python's does",
  { timeout },
  async () => {
    const { path, lines } = someLines(wanted);
    for (const kind of ["wordpiece", "bpe"] as const) {
      const theirs = join(folder, `python-${kind}`);
      mkdirSync(theirs);
      peer?.run(TRAIN, [kind, path, join(theirs, "tokenizer.json"), "8192"]);
      const ours = join(folder, `ours-${kind}`);
      const lowercase = kind === "wordpiece";
      await trainTokenizer({ paths: [path], out: ours, kind, vocabulary: 8192, lowercase });
      const counts = [];
      for (const one of [ours, theirs]) {
        const tokenizer = await openTokenizer(one);
        let count = 0;
        for (let start = 0; start < lines.length; start += 3000) {
          count += (await tokenizer.encode(lines.slice(start, start + 3000))).ids.length;
        }
        counts.push(count);
      }
      const ratio = counts[0] / counts[1];
      console.log(`${kind}: ${counts[0]} tokens with our vocabulary, ${counts[1]} with Python's: ${ratio.toFixed(4)}`);
      expect(ratio).toBeLessThan(1.02);
    }
  },
);
