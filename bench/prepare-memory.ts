/**
 * Memory and processor time that `prepare` takes for hard texts: one line, most without a space. Prints a Markdown page
 * (docs/results/prepare-memory.md). Other builds of the command may stand beside this one.
 *
 *   npm run -s bench -- prepare-memory [MEGABYTES] [NAME=FOLDER/dist/cli/main.js ...] > docs/results/prepare-memory.md
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Beside this file once it is built into dist/bench/. */
const own = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "prepare-memory-"));

let state = 1;
function below(n: number): number {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
}

const many = <T>(count: number, make: () => T) => Array.from({ length: count }, make);
const vocabulary = many(2000, () => many(2 + below(8), () => "etaoinshrdlu"[below(12)]).join(""));

/** Some kilobytes of each kind. */
const texts: readonly (readonly [name: string, some: () => string])[] = [
  ["prose", () => `${many(500, () => vocabulary[below(2000)]).join(" ")}. `],
  ["a genome", () => many(4000, () => "acgt"[below(4)]).join("")],
  ["base64", () => Buffer.from(many(3000, () => below(256))).toString("base64")],
  ["Chinese", () => many(300, () => `${String.fromCharCode(...many(12, () => 0x4e00 + below(3000)))}，`).join("")],
];

function corpus(name: string, some: () => string, size: number): string {
  const path = join(folder, `${name}.txt`);
  const parts: Buffer[] = [];
  for (let bytes = 0; bytes < size; bytes += parts[parts.length - 1].length) parts.push(Buffer.from(some()));
  writeFileSync(path, Buffer.concat([...parts, Buffer.from(`\n\n${"A short document.\n".repeat(40)}`)]));
  return path;
}

/** @returns peak memory in MB, processor seconds, hash of the tokens */
function run(command: string, words: readonly string[], out: string) {
  const peak = join(folder, "peak.mjs");
  writeFileSync(peak, 'process.on("exit", () => console.error("used", JSON.stringify(process.resourceUsage())));');
  rmSync(out, { recursive: true, force: true });
  const env = { ...process.env, NODE_OPTIONS: `--import=${peak}` };
  const done = spawnSync(process.execPath, [command, ...words, "--out", out], { encoding: "utf8", env });
  if (done.status !== 0) throw new Error(done.stderr);
  // Workers say it too; the process ends last.
  const used = [...done.stderr.matchAll(/^used (.*)$/gm)].map((match): NodeJS.ResourceUsage => JSON.parse(match[1]));
  const last = used[used.length - 1];
  return { memory: last.maxRSS / 1000, seconds: (last.userCPUTime + last.systemCPUTime) / 1e6 };
}

const [size = "30", ...others] = process.argv.slice(2);
const builds = [...others.map((other) => other.split("=")), ["now", own]];
const rows: string[] = [];
for (const kind of ["wordpiece", "bpe"]) {
  const tokenizer = join(folder, kind);
  const small = texts.map(([name, some]) => corpus(`small ${name}`, () => `${some()}\n`, 200_000));
  run(own, ["tokenizer", "train", ...small, "--kind", kind, "--vocab", "4096"], tokenizer);
  if (kind === "bpe") {
    // GPT-2's own end of text is looked for after normalisation.
    const path = join(tokenizer, "tokenizer.json");
    const json = JSON.parse(readFileSync(path, "utf8"));
    for (const token of json.added_tokens) token.normalized = true;
    writeFileSync(path, JSON.stringify(json));
  }
  for (const [name, some] of texts) {
    const path = corpus(name, some, Number(size) * 1e6);
    const hashes = new Set<string>();
    const cells = builds.map(([, command]) => {
      const out = join(folder, "data");
      const common = ["--length", "128", "--validation", "0", "--threads", "1"];
      const { memory, seconds } = run(command, ["prepare", path, "--tokenizer", tokenizer, ...common], out);
      hashes.add(
        createHash("sha256")
          .update(readFileSync(join(out, "train.tokens")))
          .digest("hex"),
      );
      return `${memory.toFixed(0)} | ${seconds.toFixed(1)}`;
    });
    rows.push(`| ${kind} | ${name} | ${cells.join(" | ")} | ${hashes.size === 1 ? "same" : "differ"} |`);
    console.error(rows[rows.length - 1]);
  }
}
rmSync(folder, { recursive: true });

const heads = builds.flatMap(([name]) => [`${name}: MB`, "seconds"]);
console.log(`# Memory of \`prepare\`

Peak memory of the process (MB of 10^6 bytes) and its processor time, one worker, for ${size} MB of text on one line. The vocabularies
have 4,096 entries of \`tokenizer train\`; the end of text of the byte-level one is \`normalized\`, as gpt2's is.

| tokenizer | one line of | ${heads.join(" | ")} | tokens |
|${"---|".repeat(heads.length + 3)}
${rows.join("\n")}

- Machine: ${cpus()[0].model}, ${cpus().length} cores. Node ${process.version}.
- Again: \`npm run -s bench -- prepare-memory ${size}\`.
`);
