/**
 * Text as people have it: the same documents in every format (test/fixtures/texts, written by pyarrow, datasets,
 * zstandard and lzma: make.py) come out alike and prepare to the same bytes.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { prepare } from "../../../src/data/prepared/prepare.ts";
import { type Fingerprint, readBlocks } from "../../../src/data/text/blocks.ts";
import { matching } from "../../../src/data/text/glob.ts";
import { parseLines } from "../../../src/data/text/lines.ts";
import { findSources, type Reading, sourceOf } from "../../../src/data/text/sources.ts";
import { hashFile } from "../../../src/store/checksums.ts";
import { fixture, temporaryFolder } from "../../support.ts";

const at = (...names: string[]) => fixture("texts", ...names);

async function linesOf(paths: readonly string[], reading: Reading = {}): Promise<readonly string[]> {
  const found: string[] = [];
  let open = false;
  for (const source of await findSources(paths, reading)) {
    for await (const block of readBlocks(source)) {
      const { texts, breaks, breakAfter } = parseLines(block);
      texts.forEach((text, i) => {
        if (open && breaks[i] === 1) found.push("");
        found.push(text);
        open = true;
      });
      if (open && breakAfter && !block.last) found.push("");
    }
    if (open) found.push("");
    open = false;
  }
  return found.filter((line, i) => line !== "" || found[i - 1] !== "");
}

const wanted = readFileSync(at("plain.txt"), "utf8").split("\n").slice(0, -1);
const files = readdirSync(fixture("texts")).filter((name) => /\.(parquet|arrow|zst|xz)$/.test(name));

describe("the same documents", () => {
  it("are there in a dozen forms", () => expect(files.length).toBeGreaterThan(10));

  it.each([...files, "saved", "splits"])("come out of %s", async (name) => {
    expect(await linesOf([at(name)])).toEqual([...wanted, ""]);
  });

  it.each(files)("%s is known by the bytes on disk", async (name) => {
    const print: Fingerprint = { bytes: 0, sha256: "" };
    for await (const _ of readBlocks(sourceOf(at(name)), print));
    expect(print).toEqual({ bytes: readFileSync(at(name)).length, sha256: await hashFile(at(name)) });
  });

  it("prepare to the same bytes", async () => {
    const folder = temporaryFolder();
    const tokens = async (text: string, i: number) => {
      const out = join(folder, `data-${i}`);
      const shares: number[] = [];
      await prepare({
        ...{ paths: [text], tokenizer: fixture("tokenizers", "gpt2"), out, length: 16, validation: 0.1, threads: 1 },
        progress: ({ share }) => shares.push(share),
      });
      expect(shares.at(-1)).toBe(1);
      expect(shares).toEqual([...shares].sort((a, b) => a - b));
      const parts = readdirSync(out).filter((name) => /^(train|validation)\./.test(name));
      return parts.sort().map((name) => [name, readFileSync(join(out, name)).toString("hex")]);
    };
    const plain = await tokens(at("plain.txt"), 0);
    for (const [i, name] of ["one-group.parquet", "rows.jsonl.zst", "saved"].entries()) {
      expect(await tokens(at(name), i + 1), name).toEqual(plain);
    }
  });
});

test("a split of a saved dataset is named, and one may be had alone", async () => {
  const said: string[] = [];
  await findSources([at("splits")], { note: (text) => said.push(text) });
  expect(said.map((text) => text.split(": ")[1])).toEqual(["the split train is read", "the split test is read"]);
  const train = await linesOf([at("splits", "train")]);
  expect(train).toEqual([...wanted, ""].slice(0, train.length));
});

test("what holds null, or no text, is said with its place", async () => {
  const said = (promise: Promise<unknown>) => promise.catch((error: Error) => error.message);
  expect(await said(linesOf([at("default.parquet")], { field: "no" }))).toMatch(/no column `no` \(found: id, text\)/);
  expect(await said(linesOf([at("default.parquet")], { field: "id" }))).toMatch(/column `id` is not text but INT64/);
  const folder = temporaryFolder();
  const bytes = readFileSync(at("one-group.parquet"));
  for (let place = bytes.indexOf("шесть"); place >= 0; place = bytes.indexOf("шесть", place)) bytes[place] = 0xff;
  writeFileSync(join(folder, "bad.parquet"), bytes);
  expect(await said(linesOf([join(folder, "bad.parquet")]))).toMatch(/a text that is not UTF-8/);
});

test("bent files are refused in a sentence, never with a defect", async () => {
  const folder = temporaryFolder();
  for (const name of files) {
    const good = readFileSync(at(name));
    for (let i = 0; i < 20; i++) {
      const bytes = Buffer.from(good);
      const place = (i * 7919) % bytes.length;
      if (i % 2 === 0) bytes[place] ^= 1 << (i % 8);
      const path = join(folder, name);
      writeFileSync(path, i % 2 === 0 ? bytes : bytes.subarray(0, place));
      const error = await linesOf([path]).catch((reason: unknown) => reason);
      if (error instanceof Error) expect(error.name, `${name} ${i}: ${error.stack}`).toBe("UserError");
    }
  }
});

test("patterns are spelled out as a shell does", async () => {
  const folder = temporaryFolder();
  for (const name of ["a/1.txt", "a/2.txt", "a/b/3.txt", "a/b/[4].txt", "a/.hidden/5.txt", "a/.6.txt", "c/7.md"]) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    cpSync(at("plain.txt"), join(folder, name));
  }
  const found = async (pattern: string) =>
    (await matching(join(folder, pattern))).map((path) => path.slice(folder.length + 1));
  expect(await found("a/*.txt")).toEqual(["a/1.txt", "a/2.txt"]);
  expect(await found("**/*.txt")).toEqual(["a/1.txt", "a/2.txt", "a/b/3.txt", "a/b/[4].txt"]);
  expect(await found("a/[!1].txt")).toEqual(["a/2.txt"]);
  expect(await found("?/*/[0-9].txt")).toEqual(["a/b/3.txt"]);
  expect(await found("a/.*.txt")).toEqual(["a/.6.txt"]);
  expect(await found("none*")).toEqual([]);
  // What lies in a folder that fits comes with it, and once.
  expect(await found("a/**")).toEqual(["a/1.txt", "a/2.txt", "a/b"]);
  expect(await found("**/*")).toEqual(["a", "c"]);
  expect(await linesOf([join(folder, "*", "*.md")])).toEqual([...wanted, ""]);
  // A file whose name looks like a pattern is that file.
  expect((await findSources([join(folder, "a/b/[4].txt")])).map(({ path }) => path)).toEqual([
    join(folder, "a/b/[4].txt"),
  ]);
});
