/** What a tokenizer says and what a model takes: held against each other before hours are spent, and no further. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { maskerFor } from "../../../src/data/batch/masking.ts";
import { openDataset } from "../../../src/data/prepared/dataset.ts";
import { prepare } from "../../../src/data/prepared/prepare.ts";
import { openTokenizer } from "../../../src/data/tokenizer/tokenizer.ts";
import { RandomStream } from "../../../src/util/random.ts";
import { cli, fixture, temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();
const at = (...parts: string[]) => join(folder, ...parts);
const lines = Array.from({ length: 60 }, (_, i) => `The miller mends kettle ${i} and the mill turns once more.`);
writeFileSync(at("text.txt"), lines.join("\n\n"));
writeFileSync(at("padded.txt"), `${lines.join("\n\n")}\n\nA text that speaks of [PAD] itself.`);

/** A GPT-2 with a vocabulary of 400, and a tokenizer whose [PAD] was added as token 400. */
const larger = at("larger");
cpSync(fixture("tokenizer-cases", "own-tokenizer-larger", "m-g400"), larger, { recursive: true });
/** A small BERT whose vocab.txt ends with a blank line. */
const blank = at("blank");
mkdirSync(blank);
const vocab = readFileSync(fixture("tokenizers", "uncased", "vocab.txt"), "utf8");
const entries = vocab.trimEnd().split("\n").length;
writeFileSync(join(blank, "vocab.txt"), `${vocab}\n`);
const bert = { model_type: "bert", architectures: ["BertForMaskedLM"], vocab_size: entries, hidden_size: 16 };
const sizes = { num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, max_position_embeddings: 32 };
writeFileSync(join(blank, "config.json"), JSON.stringify({ ...bert, ...sizes }));

const prepareFor = (model: string, text: string, out: string) =>
  cli(["prepare", at(text), "--model", model, "--out", at(out), "--length", "32", "--validation", "0.1"]);

function pretrain(model: string, data: string, out: string, objective: string) {
  const run = { out: at(out), model: `{init: ${join(model, "config.json")}}`, data: `{from: ${at(data)}}`, objective };
  const more = { batch: "{sequences: 4}", steps: 3, engine: "{kind: onnx, threads: 1}" };
  const text = Object.entries({ ...run, ...more }).map(([key, value]) => `${key}: ${value}\n`);
  writeFileSync(at(`${out}.yaml`), text.join(""));
  return cli(["pretrain", at(`${out}.yaml`)]);
}

const read = (...parts: string[]) => JSON.parse(readFileSync(at(...parts), "utf8"));

test("a token that a model lacks counts where the text holds it, and only there", () => {
  const plain = prepareFor(larger, "text.txt", "plain");
  expect(plain.code, plain.stderr).toBe(0);
  expect(read("plain", "data.json").tokenizer.vocabulary).toBe(401);
  expect(read("plain", "data.json").largest).toBeLessThan(400);
  const padded = prepareFor(larger, "padded.txt", "padded");
  expect(padded.code).toBe(2);
  expect(padded.stderr).toMatch(/its vocabulary has 400 entries: the texts hold .* "\[PAD\]" has id 400/);
  const done = pretrain(larger, "plain", "run", "clm");
  expect(done.code, done.stderr).toBe(0);
  // Without a model nothing is refused, and then training says it.
  const unheld = cli([
    "prepare",
    at("padded.txt"),
    "--tokenizer",
    larger,
    "--out",
    at("unheld"),
    "--length",
    "32",
    "--validation",
    "0.1",
  ]);
  expect(unheld.code, unheld.stderr).toBe(0);
  expect(pretrain(larger, "unheld", "refused", "clm").stderr).toMatch(
    /has 401 tokens, the model's vocabulary 400, and the data holds or needs token 400/,
  );
});

test("a blank line at the end of vocab.txt stops nothing", () => {
  const plain = prepareFor(blank, "text.txt", "blank-data");
  expect(plain.code, plain.stderr).toBe(0);
  expect(read("blank-data", "data.json").tokenizer.vocabulary).toBe(entries + 1);
  const done = pretrain(blank, "blank-data", "blank-run", "mlm");
  expect(done.code, done.stderr).toBe(0);
});

test("what is drawn in place of a token is one that the model has, and never a special one", () => {
  const tokenizer = { hash: "", vocabulary: 50, special: { mask: 4 }, specialIds: [0, 1, 2, 3, 4, 7, 30, 49] };
  const masker = maskerFor(tokenizer, 4, 1, 20);
  const drawn = new Set<number>();
  for (let step = 0; step < 200; step++) {
    const ids = new Int32Array(64).fill(5);
    masker.mask(ids, 0, ids.length, new RandomStream(1, "test", step), 0, () => {});
    for (const id of ids) drawn.add(id);
  }
  drawn.delete(4);
  const wanted = Array.from({ length: 20 }, (_, id) => id).filter((id) => !tokenizer.specialIds.includes(id));
  expect([...drawn].sort((a, b) => a - b)).toEqual(wanted);
});

test("grow says at once what the tokenizer has beyond the vocabulary", () => {
  const model = at("model");
  expect(cli(["init", join(larger, "config.json"), model]).code).toBe(0);
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join(larger, file), join(model, file));
  const grown = cli(["grow", model, at("grown"), "--layers", "3", "--method", "fpi"]);
  expect(grown.code, grown.stderr).toBe(0);
  expect(grown.stderr).toMatch(/vocabulary of 400 has no entry for "\[PAD\]" of its tokenizer/);
  // It takes 64 positions, and its tokenizer's own limit was 10³⁰.
  expect(read("grown", "tokenizer_config.json")).toEqual({
    ...JSON.parse(readFileSync(join(larger, "tokenizer_config.json"), "utf8")),
    model_max_length: 64,
  });
});

test("dropout gives the same bytes twice, and a tokenizer.json alone still ends its texts", async () => {
  const tokenizer = fixture("tokenizer-cases", "bpe-dropout", "t-drop");
  const hashes: string[] = [];
  for (const out of ["drop-1", "drop-2"]) {
    const done = cli([
      "prepare",
      at("text.txt"),
      "--tokenizer",
      tokenizer,
      "--out",
      at(out),
      "--length",
      "32",
      "--validation",
      "0.1",
    ]);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stderr).toMatch(/its dropout of 0\.1 is switched off/);
    expect(done.stderr).toMatch(/no file says which token ends a text, so <\|endoftext\|> is taken/);
    hashes.push(readFileSync(at(out, "SHA256SUMS"), "utf8"));
  }
  expect(hashes[1]).toBe(hashes[0]);
  const dataset = await openDataset(at("drop-1"));
  expect([dataset.info.separator, dataset.info.tokenizer.specialIds]).toEqual([0, []]);
  dataset.close();
});

test("a tokenizer stays what it is beside another model's config.json, and is cut off where the model ends", async () => {
  // Nothing but its config.json says that this vocabulary is to be read as BERT's.
  expect(read("blank-run", "model", "tokenizer_config.json")).toMatchObject({
    tokenizer_class: "BertTokenizer",
    model_max_length: 32,
  });
  // And this one, in capitals, would be read in lower case if it were.
  const plain = at("capitals");
  mkdirSync(plain);
  cpSync(fixture("tokenizer-cases", "config-overrides", "t-lc1", "tokenizer.json"), join(plain, "tokenizer.json"));
  const json = JSON.parse(readFileSync(join(plain, "tokenizer.json"), "utf8"));
  json.normalizer.lowercase = false;
  writeFileSync(join(plain, "tokenizer.json"), JSON.stringify(json));
  const { info } = await prepare({
    paths: [at("text.txt")],
    tokenizer: plain,
    out: at("capital-data"),
    length: 32,
    validation: 0.1,
  });
  const copy = at("capital-data", "tokenizer");
  writeFileSync(join(copy, "config.json"), JSON.stringify({ model_type: "bert" }));
  expect((await openTokenizer(copy)).info).toEqual(info.tokenizer);
});
