import { createHash } from "node:crypto";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { type Fingerprint, readBlocks } from "../../../src/data/text/blocks.ts";
import { parseLines } from "../../../src/data/text/lines.ts";
import { findSources, type Reading, sourceOf } from "../../../src/data/text/sources.ts";
import { UserError } from "../../../src/util/errors.ts";
import { sharedData, temporaryFolder } from "../../support.ts";

const folder = temporaryFolder();

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The documents of a corpus, each a list of lines. */
async function documents(paths: string[], reading: Reading = {}): Promise<string[][]> {
  const found: string[][] = [];
  let open: string[] = [];
  const close = () => {
    if (open.length > 0) found.push(open);
    open = [];
  };
  for (const source of await findSources(paths, reading)) {
    for await (const block of readBlocks(source)) {
      const { texts, breaks, breakAfter } = parseLines(block);
      texts.forEach((text, i) => {
        if (breaks[i] === 1) close();
        open.push(text);
      });
      if (breakAfter) close();
    }
  }
  return found;
}

async function refused(paths: string[], reading: Reading = {}): Promise<string> {
  const error = await documents(paths, reading).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(UserError);
  return error instanceof UserError ? `${error.where}: ${error.what}` : "";
}

test("a blank line stands between documents, and so does a file's end", async () => {
  const a = file("a.txt", "\ufeffone\ntwo\n\n \t\nthree\r\n\r\nfour");
  const b = file("b", "five\n");
  const wanted = [["one", "two"], ["three"], ["four"], ["five"]];
  expect(await documents([a, b])).toEqual(wanted);
  expect(await documents([file("c.gz", gzipSync("one\ntwo\n\nthree\n\nfour\n")), b])).toEqual(wanted);
  // Gzip is told by its content, and may have several members.
  const members = Buffer.concat([gzipSync("one\ntwo\n"), gzipSync("\nthree\n\nfour\n")]);
  expect(await documents([file("members", members), b])).toEqual(wanted);
});

test("JSON Lines: each object's text is a document", async () => {
  const rows = [{ text: "one\ntwo\n\nthree\n" }, { id: 7, text: "" }, { text: "four \ud800" }];
  const path = file("a.jsonl", `${rows.map((row) => JSON.stringify(row)).join("\n")}\n\n`);
  expect(await documents([path])).toEqual([["one", "two", "", "three"], ["four \ufffd"]]);
});

const twoRows = '{"text": "one", "score": NaN}\n\n{"n": [-Infinity, "NaN \\" Infinity"], "text": "NaN is Infinity"}\n';

test("JSON Lines are known by their first bytes, which is said, whatever the file's name", async () => {
  for (const name of ["names.jsonlines", "part-00000", "a.json.1", "jsonl.txt"]) {
    const notes: string[] = [];
    const path = file(name, `\ufeff${twoRows}`);
    expect(await documents([path], { note: (text) => notes.push(text) })).toEqual([["one"], ["NaN is Infinity"]]);
    expect(notes).toEqual([`${path}: JSON Lines by its first bytes; the text is taken from \`text\``]);
  }
  const packed = file("part-1.gz", gzipSync(twoRows));
  expect(await documents([packed])).toEqual([["one"], ["NaN is Infinity"]]);
  // A first line that is longer than what is looked at, and one file of a single line without an end.
  const long = JSON.stringify({ id: 7, text: "word ".repeat(200_000) });
  expect((await documents([file("long", `${long}\n${long}\n`)])).length).toBe(2);
  expect(await documents([file("single", '{"text": "one"}')])).toEqual([["one"]]);
  // Text that only begins like it is text.
  expect(await documents([file("brace.txt", '{"text": is missing}\nsecond')])).toEqual([
    ['{"text": is missing}', "second"],
  ]);
  expect(await documents([file("mixed.txt", '{"a": 1}\nis an object.\n')])).toEqual([['{"a": 1}', "is an object."]]);
});

test("another field may hold the text", async () => {
  const rows = file("content", '{"content": "one", "text": 5}\n{"content": "two"}\n');
  expect(await documents([rows], { field: "content" })).toEqual([["one"], ["two"]]);
  expect(await refused([rows])).toMatch(/content:1: `text` is not a string/);
  expect(await refused([rows], { field: "constructor" })).toMatch(/no field `constructor` \(found: content, text\)/);
  expect(await refused([file("plain.txt", "text\n")], { field: "content" })).toMatch(
    /not JSON Lines: it has no fields/,
  );
});

test("tables, UTF-32 and lines that end with CR alone are named for what they are", async () => {
  for (const name of ["a.csv", "b.TSV", "c.csv.gz"]) {
    expect(await refused([file(name, "id,text\n1,one\n")])).toMatch(/: a table \((CSV|TSV)\), not text/);
  }
  const utf32 = (text: string) => Buffer.from(Uint32Array.from(text, (c) => c.codePointAt(0) ?? 0).buffer);
  expect(await refused([file("utf32.txt", utf32("\ufeffone"))])).toMatch(/UTF-32 text/);
  expect(await refused([file("utf32le.txt", utf32("one"))])).toMatch(/UTF-32 text/);
  expect(await refused([file("utf32be.txt", utf32("\ufeffone").swap32())])).toMatch(/UTF-32 text/);
  expect(await refused([file("utf16be.txt", Buffer.from("one", "utf16le").swap16())])).toMatch(/UTF-16 text/);
  expect(await refused([file("mac.txt", "one\rtwo\rthree\r")])).toMatch(/mac\.txt: its lines end with CR alone/);
  expect(await documents([file("one.txt", "one\r")])).toEqual([["one"]]);
});

test("a folder is read whole, in the order of names, without hidden files", async () => {
  mkdirSync(join(folder, "corpus", "b"), { recursive: true });
  file("corpus/c.txt", "3");
  file("corpus/b/x.jsonl", '{"text": "2"}');
  file("corpus/B.txt", "1");
  file("corpus/.hidden", "no");
  expect(await documents([join(folder, "corpus")])).toEqual([["1"], ["2"], ["3"]]);
  symlinkSync(join(folder, "corpus"), join(folder, "corpus", "loop"));
  expect(await refused([join(folder, "corpus")])).toMatch(/loop: symbolic links that lead in a circle/);
  mkdirSync(join(folder, "empty"));
  expect(await refused([join(folder, "empty")])).toMatch(/empty: no file to read/);
  expect(await refused([join(folder, "absent")])).toMatch(/absent: there is no such file or folder/);
});

test("blocks hold whole lines, whatever their size, and say where they are", async () => {
  const lines = Array.from({ length: 40_000 }, (_, i) => `line ${i} ${"é".repeat(i % 90)}`);
  lines[20_000] = "long ".repeat(600_000);
  const text = `${lines.join("\n")}\n`;
  const path = file("big.txt", text);
  const fingerprint: Fingerprint = { bytes: 0, sha256: "" };
  const found: string[] = [];
  for await (const block of readBlocks(sourceOf(path), fingerprint)) {
    expect(block.firstLine).toBe(found.length + 1);
    found.push(...parseLines(block).texts);
  }
  expect(found).toEqual(lines);
  const bytes = Buffer.from(text);
  expect(fingerprint).toEqual({ bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") });
  expect(await documents([file("big.gz", gzipSync(text))])).toEqual([lines]);
});

test("what is not text is refused by file and line", async () => {
  const filler = `${"good line\n".repeat(150_000)}`;
  const latin = file("latin.txt", Buffer.concat([Buffer.from(filler), Buffer.from("caf\xe9\nx\n", "latin1")]));
  expect(await refused([latin])).toBe(`${latin}:150001: not UTF-8`);
  const cut = file("cut.txt", Buffer.from("one\ntwo é").subarray(0, 9));
  expect(await refused([cut])).toBe(`${cut}:2: not UTF-8`);
  const nul = file("nul.txt", "one\ntwo\0\n");
  expect(await refused([nul])).toMatch(/nul\.txt:2: a NUL byte/);
  expect(await refused([file("utf16.txt", Buffer.from("\ufeffone", "utf16le"))])).toMatch(/UTF-16/);
  expect(await refused([file("x.zip", Buffer.from("PK\x03\x04zip"))])).toMatch(/zip archive/);
});

test("a broken gzip file is refused", async () => {
  const packed = gzipSync("some text\n".repeat(100_000));
  expect(await refused([file("short.gz", packed.subarray(0, packed.length - 40))])).toMatch(/short\.gz: broken gzip/);
  const bent = Buffer.from(packed);
  bent.fill(0x55, 60, 90);
  expect(await refused([file("bent.gz", bent)])).toMatch(/bent\.gz: broken gzip/);
  expect(await refused([file("plain.gz", "text")])).toMatch(/plain\.gz: not a gzip file/);
});

test("what is not JSON Lines is refused by file and line", async () => {
  const good = '{"text": "x"}\n';
  expect(await refused([file("a.json", `${good}{"text": \n`)])).toMatch(/a\.json:2: not valid JSON/);
  expect(await refused([file("b.json", `${good}[1]\n`)])).toMatch(/b\.json:2: not a JSON object/);
  expect(await refused([file("c.json", `${good}\n{"content": "x"}\n`)])).toMatch(
    /c\.json:3: no field `text` \(found: content\)/,
  );
  expect(await refused([file("d.json", '{"text": 3}\n')])).toMatch(/d\.json:1: `text` is not a string/);
});

const cases = sharedData("..", "cases", "jsonl-by-name", "names.jsonlines");
test.skipIf(cases === undefined)("names.jsonlines of the cases is JSON Lines", async () => {
  const found = await documents([cases ?? ""]);
  expect(found[0]).toEqual(["The miller mends the kettle.", "The baker paints a ladder."]);
});
