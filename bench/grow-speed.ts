/**
 * How long growing BERT-base to BERT-large takes and how much memory, beside a plain copy of the result and a PyTorch
 * script that does the same. Interleaved rounds, medians; every variant ends with its bytes on the disk.
 *
 *   npm run -s bench -- grow-speed [--rounds 5] [--python python3] [--folder DIR]
 *
 * Imports nothing of src/: it measures the built command line as a user starts it.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("../../", import.meta.url));
const cli = join(root, "dist", "cli", "main.js");

interface Measured {
  /** Seconds from start to end. */
  readonly wall: number;
  /** Seconds of processor time, user and system, of the process itself (not of what it starts). */
  readonly cpu: number;
  /** Largest resident memory, in MB (10^6 bytes). */
  readonly peak: number;
}

/** Runs a command to its end. Its peak is the kernel's own mark (VmHWM), read until it ends. */
function measure(command: string, args: readonly string[]): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let peak = 0;
    let cpu = 0;
    let complaint = "";
    const look = () => {
      try {
        const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
        peak = Math.max(peak, (Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024) / 1e6);
        const fields = readFileSync(`/proc/${child.pid}/stat`, "utf8")
          .replace(/^.*\) /s, "")
          .split(" ");
        // In ticks of 1/100 s, as Linux shows them.
        cpu = Math.max(cpu, (Number(fields[11]) + Number(fields[12])) / 100);
      } catch {
        // It has just ended.
      }
    };
    const watch = setInterval(look, 5);
    child.stderr.on("data", (text) => {
      complaint += text;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      clearInterval(watch);
      if (code === 0) resolve({ wall: (performance.now() - start) / 1000, cpu, peak });
      else reject(new Error(`${command} ${args.join(" ")} ended with ${code}\n${complaint}`));
    });
  });
}

/** Smallest, middle and largest. */
function spread(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, middle, high] = [0, Math.floor(sorted.length / 2), sorted.length - 1].map((i) =>
    sorted[i].toFixed(digits),
  );
  return `${middle} (${low}–${high})`;
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    python: { type: "string", default: process.env.BERT2BERT_PYTHON ?? "python3" },
    folder: { type: "string" },
  },
});
const folder = values.folder ?? mkdtempSync(join(tmpdir(), "bert2bert-bench-"));
mkdirSync(folder, { recursive: true });
const at = (name: string) => join(folder, name);
const base = {
  model_type: "bert",
  architectures: ["BertForPreTraining"],
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
};
writeFileSync(at("base.json"), JSON.stringify(base));
if (!existsSync(at("base"))) await measure(process.execPath, [cli, "init", at("base.json"), at("base")]);

const growth = (method: string, out: string) => [
  ...[cli, "grow", at("base"), at(out), "--hidden", "1024", "--layers", "24"],
  ...["--method", method, "--map", "cyclic", "--depth", "stack"],
];
const torch = spawnSync(values.python, ["-c", "import torch, safetensors"]).status === 0;
const variants: [string, () => Promise<Measured>][] = [
  ["bert2bert grow, fpi", () => measure(process.execPath, growth("fpi", "grown"))],
  ["bert2bert grow, aki", () => measure(process.execPath, growth("aki", "aki"))],
  [
    "cp --reflink=never and sync",
    () =>
      measure("sh", [
        "-c",
        'cp --reflink=never "$0" "$1" && exec sync "$1"',
        at("grown/model.safetensors"),
        at("copy"),
      ]),
  ],
  [
    "PyTorch script, fpi",
    () => measure(values.python, [join(root, "bench", "grow_torch.py"), at("base"), at("torch")]),
  ],
  [
    "PyTorch script, fpi, with the same hashes",
    () => measure(values.python, [join(root, "bench", "grow_torch.py"), at("base"), at("torch"), "--hash"]),
  ],
];
const wanted = torch ? variants : variants.slice(0, 3);
if (!torch) console.error(`${values.python} lacks torch or safetensors: the PyTorch script is left out`);

const results = new Map<string, Measured[]>(wanted.map(([name]) => [name, []]));
const rounds = Number(values.rounds);
for (let round = 0; round <= rounds; round++) {
  for (const [name, run] of wanted) {
    for (const out of ["aki", "copy", "torch", ...(name.includes("fpi") && !name.startsWith("Py") ? ["grown"] : [])]) {
      rmSync(at(out), { recursive: true, force: true });
    }
    spawnSync("sync");
    const measured = await run();
    if (name.startsWith("PyTorch") && round === 0) compare();
    // The first round warms the page cache and counts nothing.
    if (round > 0) results.get(name)?.push(measured);
  }
}

/** That both do the same: the data of the two files, header aside, byte for byte. */
function compare(): void {
  const script = [
    "import sys, torch",
    "from safetensors.torch import load_file",
    "a, b = (load_file(p) for p in sys.argv[1:])",
    "assert set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)",
  ].join("\n");
  const files = [at("grown/model.safetensors"), at("torch/model.safetensors")];
  const done = spawnSync(values.python, ["-c", script, ...files], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`the PyTorch script makes another model\n${done.stderr}`);
}

const copy = results.get("cp --reflink=never and sync")?.map((measured) => measured.wall) ?? [];
const middle = (list: readonly number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
console.log(`${cpus()[0].model}, ${cpus().length} cores; node ${process.version}; ${rounds} rounds, median (range)\n`);
console.log("| | seconds | against the copy | processor seconds | peak memory, MB |\n|---|---|---|---|---|");
for (const [name, measured] of results) {
  const wall = measured.map((one) => one.wall);
  const peak = measured.map((one) => one.peak);
  const cpu = measured.map((one) => one.cpu);
  console.log(
    `| ${name} | ${spread(wall, 2)} | ${(middle(wall) / middle(copy)).toFixed(2)} | ${spread(cpu, 1)} | ${spread(peak, 0)} |`,
  );
}
if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
