/**
 * How long growing BERT-base to BERT-large takes and how much memory, beside a plain copy of the result and a PyTorch
 * script that does the same. Interleaved rounds, medians; every variant ends with its bytes on the disk.
 *
 *   npm run -s bench -- grow-speed [--rounds 5] [--python python3] [--folder DIR]
 *
 * Imports nothing of src/: it measures the built command line as a user starts it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Measured, measure, middle, spread } from "./measure.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const cli = join(root, "dist", "cli", "main.js");

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
