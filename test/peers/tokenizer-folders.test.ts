/**
 * Tokenizer folders as transformers reads them: of BERT's, GPT-2's and RoBERTa's kinds, made by rules that mix what their
 * files may say (tokenizer-folders.ts), and of today's kinds (tokenizers-today.py), each with 2,000 texts of all of
 * Unicode. No id differs, and the special tokens and the roles are the same.
 * BERT2BERT_FOLDERS sets how many (default 64, and half as many of today's), BERT2BERT_FOLDERS_FROM the first seed.
 * BERT2BERT_OLDER_PYTHON may name a Python with transformers 4: where both versions agree is then said.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { prepare } from "../../src/data/prepared/prepare.ts";
import { openTokenizer } from "../../src/data/tokenizer/tokenizer.ts";
import { python, temporaryFolder } from "../support.ts";
import { type MadeFolder, makeFolder, makeTexts } from "./tokenizer-folders.ts";

const READ = `
import json, sys
import transformers
from transformers import AutoTokenizer
transformers.logging.set_verbosity_error()
major = int(transformers.__version__.split(".")[0])
NAMES = ["cls", "sep", "mask", "pad", "bos", "eos", "unk"]
for path in sys.argv[2:]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        if getattr(tokenizer.backend_tokenizer.model, "dropout", None):
            tokenizer.backend_tokenizer.model.dropout = None
        texts = json.load(open(path + "/texts.json", encoding="utf-8"))
        roles = {n: getattr(tokenizer, n + "_token_id") for n in NAMES if getattr(tokenizer, n + "_token") is not None}
        found = {
            "by": type(tokenizer).__name__,
            "special": sorted({i for i in tokenizer.all_special_ids if i is not None}),
            "roles": {name: id for name, id in roles.items() if id is not None},
            "ids": tokenizer(texts, add_special_tokens=False)["input_ids"],
        }
        if "today-" in path:
            documents = json.load(open(path + "/documents.json", encoding="utf-8"))
            found["documents"] = tokenizer(documents)["input_ids"]
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"[:300]}
    json.dump(found, open(f"{path}/{sys.argv[1]}.json", "w"))
print(major)
`;

interface Found {
  readonly by?: string;
  readonly special: readonly number[];
  readonly roles: Readonly<Record<string, number>>;
  readonly ids: readonly (readonly number[])[];
  /** With what the tokenizer puts around a text. */
  readonly documents?: readonly (readonly number[])[];
  readonly error?: string;
}

const peer = python(["transformers", "tokenizers"]);
const older = process.env.BERT2BERT_OLDER_PYTHON;
const folder = temporaryFolder();
const wanted = Number(process.env.BERT2BERT_FOLDERS ?? 64);
const from = Number(process.env.BERT2BERT_FOLDERS_FROM ?? 1);

/** Python's and ours of each folder. @returns how many could be compared */
async function compare(made: readonly MadeFolder[]): Promise<number> {
  made.forEach((one, i) => {
    const texts = makeTexts(one, from + i, 2000);
    const lines = texts.slice(0, 600).filter((text) => /^[ -~]*\w[^\r\n\0]*$/.test(text));
    const documents = lines.flatMap((_, line) => (line % 3 === 0 ? [lines.slice(line, line + 3).join("\n")] : []));
    writeFileSync(join(one.path, "texts.json"), JSON.stringify(texts));
    writeFileSync(join(one.path, "documents.json"), JSON.stringify(documents));
  });
  const paths = made.map(({ path }) => path);
  const major = Number(peer?.run(READ, ["newer", ...paths]));
  if (major < 5) return Number.NaN;
  const saidBy = (path: string, which: string): Found => JSON.parse(readFileSync(join(path, `${which}.json`), "utf8"));
  const differing: string[] = [];
  let read = 0;
  let ids = 0;
  for (const path of paths) {
    const theirs = saidBy(path, "newer");
    if (theirs.error !== undefined) {
      console.log(`${path}: ${theirs.error}`);
      continue;
    }
    read++;
    const texts: string[] = JSON.parse(readFileSync(join(path, "texts.json"), "utf8"));
    try {
      const tokenizer = await openTokenizer(path);
      const { info } = tokenizer;
      const encoded = await tokenizer.encode(texts);
      const wrong = theirs.ids.findIndex((one, i) => {
        const ours = encoded.ids.subarray(encoded.ends[i - 1] ?? 0, encoded.ends[i]);
        ids += one.length;
        return one.length !== ours.length || one.some((id, j) => id !== ours[j]);
      });
      if (wrong >= 0) differing.push(`${path} (${theirs.by}): ids of ${JSON.stringify(texts[wrong])}`);
      expect.soft([path, info.specialIds, info.special]).toEqual([path, theirs.special, theirs.roles]);
      // GPT-2's class has its documents encoded line by line, as ever.
      const whole = info.special.cls === undefined && theirs.by !== "GPT2Tokenizer";
      if (path.includes("today-") && whole) await comparePrepared(path, theirs);
    } catch (error) {
      differing.push(`${path} (${theirs.by}): ${error}`);
    }
  }
  console.log(`${read} of ${paths.length} folders, ${ids} ids: ${differing.length} folders differ`);
  expect(differing).toEqual([]);
  if (older !== undefined) {
    python(["transformers"], older)?.run(READ, ["older", ...paths]);
    const said = (path: string, which: string) => JSON.stringify({ ...saidBy(path, which), by: "" });
    const same = paths.filter((path) => said(path, "older") === said(path, "newer"));
    const failed = paths.filter((path) => saidBy(path, "older").error !== undefined);
    console.log(`transformers 4 reads ${same.length} of them in the same way, and ${failed.length} not at all`);
  }
  return read;
}

/** What `prepare` makes of documents is what transformers makes of each, and the token that ends a text. */
async function comparePrepared(path: string, { documents = [], roles }: Found): Promise<void> {
  const texts: string[] = JSON.parse(readFileSync(join(path, "documents.json"), "utf8"));
  const corpus = join(path, "documents.jsonl");
  writeFileSync(corpus, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  const out = join(path, "prepared");
  const { info } = await prepare({ paths: [corpus], tokenizer: path, out, length: 8, validation: 0, threads: 1 });
  const bytes = readFileSync(join(out, "train.tokens"));
  const found = Array.from({ length: bytes.length / info.width }, (_, i) =>
    bytes.readUIntLE(i * info.width, info.width),
  );
  const wanted = documents.flatMap((ids) => [...ids, roles.eos ?? info.separator]);
  const at = wanted.findIndex((id, i) => id !== found[i]);
  expect.soft([path, at, found.length]).toEqual([path, -1, wanted.length]);
}

const timeout = 3600_000;

test.skipIf(peer === undefined)("folders are read as transformers reads them", { timeout }, async (context) => {
  const read = await compare(Array.from({ length: wanted }, (_, i) => makeFolder(folder, from + i)));
  if (Number.isNaN(read)) context.skip("these are the rules of transformers 5");
  expect(read).toBeGreaterThanOrEqual(0.95 * wanted);
});

const maker = python(["transformers", "tokenizers", "sentencepiece"]);
test.skipIf(maker === undefined)("so are those of today's models", { timeout }, async (context) => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const count = Math.ceil(wanted / 2);
  const script = readFileSync(join(root, "test", "peers", "tokenizers-today.py"), "utf8");
  const texts = ["README.md", "docs/architecture.md"].map((name) => join(root, name));
  maker?.run(script, [folder, String(from), String(count), ...texts]);
  const made = Array.from({ length: count }, (_, i): MadeFolder => {
    const path = join(folder, `today-${from + i}`);
    return { path, ...JSON.parse(readFileSync(join(path, "made.json"), "utf8")) };
  });
  const read = await compare(made);
  if (Number.isNaN(read)) context.skip("these are the rules of transformers 5");
  expect(read).toBeGreaterThanOrEqual(0.95 * count);
});
