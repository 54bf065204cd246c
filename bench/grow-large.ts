/**
 * What a large model in shards takes: peak memory and time of inspect, grow --dry-run, grow and verify --sample, beside
 * `cp` of as many bytes. Interleaved rounds, medians; what is written is synced.
 *
 *   npm run -s bench -- grow-large --source FOLDER [--rounds 5] [--folder DIR] -- GROW'S OPTIONS
 *
 * The source is one that `init --dtype BF16` wrote. Imports nothing of src/: it measures the built command line.
 */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Measured, measure, middle, spread } from "./measure.ts";

const cli = join(fileURLToPath(new URL("../../", import.meta.url)), "dist", "cli", "main.js");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    source: { type: "string" },
    rounds: { type: "string", default: "5" },
    folder: { type: "string" },
  },
});
const { source } = values;
if (source === undefined) throw new Error("name the model: --source FOLDER");
const folder = values.folder ?? mkdtempSync(join(tmpdir(), "bert2bert-bench-"));
const [grown, copy] = ["grown", "copy"].map((name) => join(folder, name));
const command = (...words: string[]) => measure(process.execPath, [cli, ...words]);
const growth = ["grow", source, ...positionals];
const variants: readonly (readonly [string, () => Promise<Measured>])[] = [
  ["inspect", () => command("inspect", source)],
  ["grow --dry-run", () => command(...growth, "--dry-run")],
  ["grow", () => command("grow", source, grown, ...positionals)],
  [
    "cp --reflink=never and sync",
    () => measure("sh", ["-c", 'cp -r --reflink=never "$0" "$1" && exec sync "$1"/*.safetensors', grown, copy]),
  ],
  ["verify --sample", () => command("verify", source, grown, "--sample")],
];
const results = new Map<string, Measured[]>(variants.map(([name]) => [name, []]));
const loads: number[] = [];
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, run] of variants) {
      if (name === "grow") for (const made of [grown, copy]) rmSync(made, { recursive: true, force: true });
      results.get(name)?.push(await run());
      if (name.startsWith("cp")) rmSync(copy, { recursive: true, force: true });
      loads.push(loadavg()[0]);
    }
  }
  console.log(
    `${cpus()[0].model}, ${cpus().length} cores; node ${process.version}; load ${spread(loads, 1)}; ${values.rounds} rounds, median (range)`,
  );
  console.log(`${readdirSync(grown).filter((name) => name.endsWith(".safetensors")).length} files of weights grown\n`);
  const copied = middle((results.get(variants[3][0]) ?? []).map(({ wall }) => wall));
  console.log("| | seconds | against the copy | processor seconds | peak memory, MB |\n|---|---|---|---|---|");
  for (const [name, all] of results) {
    const [wall, cpu, peak] = [all.map((one) => one.wall), all.map((one) => one.cpu), all.map((one) => one.peak)];
    console.log(
      `| ${name} | ${spread(wall, 2)} | ${(middle(wall) / copied).toFixed(2)} | ${spread(cpu, 1)} | ${spread(peak, 0)} |`,
    );
  }
} finally {
  for (const made of [grown, copy]) rmSync(made, { recursive: true, force: true });
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
}
