/**
 * Memory of `prepare` while it reads a large Parquet file, made here: one row group, one column, plain pages of a
 * megabyte. Prints a Markdown page's section (docs/results/prepare-memory.md).
 *
 *   npm run -s bench -- prepare-parquet [GIGABYTES]
 *
 * Linux: memory and what is read by now are /proc's.
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Beside this file once it is built into dist/bench/. */
const command = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "prepare-parquet-"));

let state = 1;
function below(n: number): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}
const many = <T>(count: number, make: () => T) => Array.from({ length: count }, make);
const words = many(2000, () => many(8 + below(16), () => "etaoinshrdlu"[below(12)]).join(""));
const document = () => many(100, () => words[below(2000)]).join(" ");

/** Thrift's compact protocol, as much of it as Parquet's headers take. */
type Thrift = number | string | readonly Thrift[] | { readonly [field: number]: Thrift | bigint } | bigint;

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(left)]);
}

/** Numbers are i32, bigints i64. */
const typeOf = (value: Thrift): number =>
  typeof value === "number"
    ? 5
    : typeof value === "bigint"
      ? 6
      : typeof value === "string"
        ? 8
        : Array.isArray(value)
          ? 9
          : 12;

function thrift(value: Thrift): Buffer {
  if (typeof value === "number" || typeof value === "bigint") return varint(BigInt(value) * 2n);
  if (typeof value === "string") return Buffer.concat([varint(BigInt(Buffer.byteLength(value))), Buffer.from(value)]);
  if (Array.isArray(value)) {
    const items: readonly Thrift[] = value;
    return Buffer.concat([Buffer.from([(items.length << 4) | typeOf(items[0])]), ...items.map(thrift)]);
  }
  let before = 0;
  const fields = Object.entries(value).map(([id, field]) => {
    const head = Buffer.from([((Number(id) - before) << 4) | typeOf(field)]);
    before = Number(id);
    return Buffer.concat([head, thrift(field)]);
  });
  return Buffer.concat([...fields, Buffer.from([0])]);
}

const [BYTE_ARRAY, REQUIRED, UTF8, PLAIN, RLE, UNCOMPRESSED, DATA_PAGE] = [6, 0, 0, 0, 3, 0, 0];

/** @returns how many documents there are */
function makeParquet(path: string, size: number): number {
  const file = openSync(path, "w");
  let offset = writeSync(file, "PAR1");
  let rows = 0;
  while (offset < size) {
    const values: Buffer[] = [];
    for (let bytes = 0; bytes < 2 ** 20; bytes += values[values.length - 1].length) {
      const content = Buffer.from(document());
      const length = Buffer.alloc(4);
      length.writeUInt32LE(content.length);
      values.push(Buffer.concat([length, content]));
    }
    const page = Buffer.concat(values);
    const header = { 1: DATA_PAGE, 2: page.length, 3: page.length, 5: { 1: values.length, 2: PLAIN, 3: RLE, 4: RLE } };
    offset += writeSync(file, Buffer.concat([thrift(header), page]));
    rows += values.length;
  }
  const [count, bytes] = [BigInt(rows), BigInt(offset - 4)];
  const column = { 1: BYTE_ARRAY, 2: [PLAIN], 3: ["text"], 4: UNCOMPRESSED, 5: count, 6: bytes, 7: bytes, 9: 4n };
  const footer = thrift({
    1: 1,
    2: [
      { 4: "schema", 5: 1 },
      { 1: BYTE_ARRAY, 3: REQUIRED, 4: "text", 6: UTF8 },
    ],
    3: count,
    4: [{ 1: [{ 2: 4n, 3: column }], 2: bytes, 3: count }],
  });
  const end = Buffer.alloc(4);
  end.writeUInt32LE(footer.length);
  writeSync(file, Buffer.concat([footer, end, Buffer.from("PAR1")]));
  closeSync(file);
  return rows;
}

const size = Number(process.argv[2] ?? "2") * 1e9;
const parquet = join(folder, "text.parquet");
const documents = makeParquet(parquet, size);
const sample = join(folder, "sample.txt");
writeFileSync(sample, many(300, document).join("\n\n"));
const tokenizer = join(folder, "tokenizer");
const trained = ["tokenizer", "train", sample, "--kind", "bpe", "--vocab", "4096", "--out", tokenizer];
if (spawnSync(process.execPath, [command, ...trained]).status !== 0) throw new Error("no tokenizer");

const number = (path: string, key: string) =>
  Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(readFileSync(path, "utf8"))?.[1]);

/** @returns megabytes when so much was read, and the peak */
async function run(path: string, marks: readonly number[]) {
  const out = join(folder, "data");
  const given = ["--tokenizer", tokenizer, "--length", "128", "--validation", "0", "--threads", "1", "--out", out];
  const child = spawn(process.execPath, [command, "prepare", path, ...given], { stdio: "ignore" });
  const proc = `/proc/${child.pid}`;
  const found: number[] = [];
  let peak = 0;
  const timer = setInterval(() => {
    try {
      peak = Math.max(peak, 1.024e-3 * (number(`${proc}/status`, "VmHWM") || 0));
      const read = number(`${proc}/io`, "rchar");
      while (found.length < marks.length && read > marks[found.length])
        found.push(number(`${proc}/status`, "VmRSS") * 1.024e-3);
    } catch {
      // It has ended.
    }
  }, 100);
  const code = await new Promise((resolve) => child.on("close", resolve));
  clearInterval(timer);
  if (code !== 0) throw new Error(`prepare ended with ${code}`);
  return { found, peak };
}

const marks = [0.125, 0.25, 0.5, 0.75, 0.98].map((share) => share * size);
const started = performance.now();
const { found, peak } = await run(parquet, marks);
const seconds = (performance.now() - started) / 1000;
rmSync(folder, { recursive: true });
const row = (name: string, megabytes: number) => `| ${name} | ${megabytes.toFixed(0)} |`;
console.log(`## A Parquet file of ${(size / 1e9).toFixed(0)} GB in one row group, through \`prepare\`

${documents} documents of 100 words, uncompressed, a single row group, by \`prepare\` with a byte-level vocabulary of 4,096 and
one worker: resident memory of the whole process (MB of 10^6 bytes) when so much of the file is read.

| read | MB |
|---|---|
${found.map((megabytes, i) => row(`${(marks[i] / 1e9).toFixed(2)} GB`, megabytes)).join("\n")}
${row("peak", peak)}

- ${seconds.toFixed(0)} s on ${cpus()[0].model}, ${cpus().length} cores. Node ${process.version}.
- Again: \`npm run -s bench -- prepare-parquet ${size / 1e9}\`.`);
