/**
 * `prepare` against Python's tokenizers on the same text and cores, in interleaved pairs; the ratio of each pair counts,
 * since a shared machine is never the same speed twice. Prints a Markdown page (docs/results/prepare-speed.md).
 *
 *   npm run -s bench -- prepare-speed TEXT.gz [PAIRS] > docs/results/prepare-speed.md
 *
 * Python: BERT2BERT_PYTHON, with the tokenizers package.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PEER = `
import array, gzip, json, sys, time
import tokenizers
folder, text, out = sys.argv[1:]
tokenizer = tokenizers.Tokenizer.from_file(folder + "/tokenizer.json")
start = time.perf_counter()
with gzip.open(text, "rt", encoding="utf-8") as file:
    lines = [line.rstrip("\\n") for line in file]
ids = array.array("H")
for at in range(0, len(lines), 5000):
    for one in tokenizer.encode_batch(lines[at : at + 5000], add_special_tokens=False):
        ids.extend(one.ids)
open(out, "wb").write(ids.tobytes())
print(json.dumps({"seconds": time.perf_counter() - start, "tokens": len(ids), "version": tokenizers.__version__}))
`;

/** Beside this file once it is built into dist/bench/. */
const command = fileURLToPath(new URL("../cli/main.js", import.meta.url));

interface Run {
  readonly out: string;
  /** Seconds from start to end, and of processor time on all cores. */
  readonly wall: number;
  readonly cpu: number;
}

function run(program: string, args: readonly string[]): Run {
  const started = performance.now();
  const words = ["-c", 'TIMEFORMAT="%U %S"; time "$@"', "bash", program, ...args];
  const done = spawnSync("bash", words, { encoding: "utf8", env: { ...process.env, TOKENIZERS_PARALLELISM: "true" } });
  if (done.status !== 0) throw new Error(`${program} ${args.join(" ")}\n${done.stderr}`);
  const times = done.stderr.trim().split("\n").at(-1)?.split(" ").map(Number) ?? [];
  return { out: done.stdout, wall: (performance.now() - started) / 1000, cpu: times[0] + times[1] };
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
function main([text, pairs = "5"]: readonly string[]): void {
  if (text === undefined) throw new Error("name a gzipped text file");
  const folder = mkdtempSync(join(tmpdir(), "prepare-speed-"));
  const rows: string[] = [];
  let version = "";
  for (const kind of ["wordpiece", "bpe"]) {
    const tokenizer = join(folder, kind);
    const trained = run(process.execPath, [
      command,
      "tokenizer",
      "train",
      text,
      "--kind",
      kind,
      "--vocab",
      "8192",
      "--out",
      tokenizer,
      "--json",
    ]);
    const { seconds: training }: { seconds: number } = JSON.parse(trained.out);
    const ours: Run[] = [];
    const theirs: Run[] = [];
    let bytes = 0;
    for (let pair = 0; pair < Number(pairs); pair++) {
      const out = join(folder, `${kind}-${pair}`);
      const prepared = run(process.execPath, [
        command,
        "prepare",
        text,
        "--tokenizer",
        tokenizer,
        "--out",
        out,
        "--length",
        "128",
        "--json",
      ]);
      const result: { bytes: number } = JSON.parse(prepared.out);
      bytes = result.bytes;
      ours.push(prepared);
      const peer = run(process.env.BERT2BERT_PYTHON ?? "python3", [
        "-c",
        PEER,
        tokenizer,
        text,
        join(folder, "peer.bin"),
      ]);
      const answer: { seconds: number; version: string } = JSON.parse(peer.out);
      theirs.push({ ...peer, wall: answer.seconds });
      version = answer.version;
    }
    const speeds = (measure: (one: Run) => number) => {
      const ratios = ours.map((one, i) => measure(theirs[i]) / measure(one));
      const range = `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`;
      const speed = (runs: readonly Run[]) => (bytes / 1e6 / median(runs.map(measure))).toFixed(1);
      return `${speed(ours)} | ${speed(theirs)} | **${median(ratios).toFixed(2)}** (${range})`;
    };
    rows.push(`| ${kind} | wall | ${speeds((one) => one.wall)} |`, `| | processor | ${speeds((one) => one.cpu)} |`);
    rows.push(`| | \`tokenizer train\` | ${(bytes / 1e6 / training).toFixed(1)} | | |`);
  }
  rmSync(folder, { recursive: true });

  console.log(`# Speed of \`prepare\`

\`prepare\` (reading, unpacking, encoding, parting, writing, the process's start included) against Python's
\`encode_batch\` of the same lines in batches of 5,000 (reading, unpacking, encoding, writing; the interpreter's start
only in its processor time), ${pairs} interleaved pairs on the same ${availableParallelism()} cores. MB of text a second of wall clock and
of processor time on all cores, which other work on the machine disturbs less; medians, the ratio that of the pairs'
(and their range). The vocabularies, of 8,192 entries, are \`tokenizer train\`'s from the same text (one thread).

| tokenizer | second of | prepare, MB/s | encode_batch, MB/s | ratio |
|---|---|---|---|---|
${rows.join("\n")}

- Text: ${text.split("/").slice(-2).join("/")}.
- Machine: ${cpus()[0].model}, ${availableParallelism()} cores. Node ${process.version}; Python's tokenizers ${version}.
- Again: \`npm run -s bench -- prepare-speed TEXT.gz\`.

Why it is faster though the ids are the same library's: a text is cut where the tokenizer surely cuts it, and the ids
of a piece that has been seen are kept, so only new words are encoded (\`src/data/tokenizer/encode.ts\`).
`);
}

main(process.argv.slice(2));
