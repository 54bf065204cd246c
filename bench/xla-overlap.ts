/**
 * What goes on at the same time in a run on XLA's CPU device: the time between steps with a second one under way against
 * one at a time, and how much of a checkpoint's time training hides. Whole runs that take turns; medians over the rounds.
 *
 *   npm run -s bench -- xla-overlap [--rounds 5] [--steps 40] [--layers 4] [--hidden 256] [--threads 1] [--write]
 *
 * Needs a Python with JAX (BERT2BERT_XLA_PYTHON). --write puts the table into docs/results/xla-overlap.md. Reaches into
 * src/ and test/ (bench/run.mjs says how it is run).
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { EngineSettings } from "../src/engine/engine.ts";
import { xlaEngine } from "../src/engine/xla/engine.ts";
import { architectureOf } from "../src/model/architectures.ts";
import { parameterCount } from "../src/model/table.ts";
import { pretrain } from "../src/train/pretrain.ts";
import { loadRun } from "../src/train/run/settings.ts";
import { writeData } from "../test/train/data.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    steps: { type: "string", default: "40" },
    layers: { type: "string", default: "4" },
    hidden: { type: "string", default: "256" },
    threads: { type: "string", default: "1" },
    write: { type: "boolean", default: false },
  },
});
const [rounds, steps, layers, hidden, threads] = [
  ...[values.rounds, values.steps, values.layers, values.hidden, values.threads].map(Number),
];
const [length, sequences, warm, every] = [128, 8, 5, 10];

const folder = mkdtempSync(join(tmpdir(), "bert2bert-overlap-"));
// Each program is compiled once for all runs.
process.env.JAX_COMPILATION_CACHE_DIR = join(folder, "compiled");
const config = {
  ...{ model_type: "bert", architectures: ["BertForMaskedLM"], vocab_size: 8192, hidden_size: hidden },
  ...{ num_hidden_layers: layers, num_attention_heads: hidden / 64, intermediate_size: 4 * hidden },
  ...{ max_position_embeddings: length, hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.1 },
};
const parameters = parameterCount(architectureOf(config, "bench").model(config, "bench").parameters);
writeFileSync(join(folder, "config.json"), JSON.stringify(config));
await writeData(join(folder, "data"), length, 100_000);
const run = join(folder, "run.yaml");
writeFileSync(
  run,
  `out: out
model: {init: config.json}
data: {from: data}
objective: mlm
batch: {sequences: ${sequences}}
optimizer: {lr: 1e-4}
steps: ${steps}
plan: full
evaluate: {every: 0, sequences: 8}
checkpoint: {every: 0, keep: 1}
log: {every: 1}
engine: {kind: xla, device: cpu, precision: f32, threads: ${threads}}
`,
);

/** Opened engines keep no copies: a checkpoint is then written while training waits. */
let waiting = false;
let description = "";
const { open } = xlaEngine;
Object.assign(xlaEngine, {
  open: async (settings: EngineSettings) => {
    const engine = await open(settings);
    ({ description } = engine);
    return waiting ? Object.assign(engine, { snapshot: undefined }) : engine;
  },
});

interface Variant {
  readonly name: string;
  readonly ahead: number;
  readonly saved: boolean;
  readonly waits: boolean;
  /** Of each round: seconds a step, from the end of the first counted to that of the last. */
  readonly seconds: number[];
}
const variant = (name: string, ahead: number, saved: boolean, waits: boolean): Variant => {
  return { name, ahead, saved, waits, seconds: [] };
};
const alone = variant("one step at a time, no checkpoint", 1, false, false);
const ahead = variant("a second step under way, no checkpoint", 2, false, false);
const hides = variant(`the same, a checkpoint every ${every} steps`, 2, true, false);
const waits = variant(`the same, and training waits for it`, 2, true, true);
const variants = [alone, ahead, hides, waits];

async function seconds({ ahead, saved, waits }: Variant): Promise<number> {
  const sets = [`engine.ahead=${ahead}`, `checkpoint.every=${saved ? every : 0}`];
  const ends: number[] = [];
  waiting = waits;
  await pretrain(await loadRun(run, sets), { progress: () => ends.push(performance.now()) });
  rmSync(join(folder, "out"), { recursive: true });
  return (ends[ends.length - 1] - ends[warm]) / 1000 / (ends.length - 1 - warm);
}

const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
const milliseconds = (numbers: readonly number[]) => {
  const [middle, least, most] = [median(numbers), Math.min(...numbers), Math.max(...numbers)];
  return [middle, least, most].map((one) => (1000 * one).toFixed(1));
};
const before = loadavg()[0];
try {
  // The first round compiles.
  for (let round = 0; round <= rounds; round++) {
    for (const one of round % 2 === 0 ? variants : variants.toReversed()) {
      const took = await seconds(one);
      if (round > 0) one.seconds.push(took);
      console.error(`round ${round} of ${rounds}, ${one.name}: ${(1000 * took).toFixed(1)} ms a step`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
/** Of each round by itself, so that what the machine does beside it is in both. */
const ofRounds = (of: (round: number) => number) => median(ahead.seconds.map((_, round) => of(round)));
const saved = ofRounds((i) => 1 - ahead.seconds[i] / alone.seconds[i]);
const cost = ofRounds((i) => (waits.seconds[i] - ahead.seconds[i]) * every);
const hidden_ = ofRounds((i) => 1 - (hides.seconds[i] - ahead.seconds[i]) / (waits.seconds[i] - ahead.seconds[i]));
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const words = Object.entries(values).flatMap(([key, value]) => (key === "write" ? [] : [`--${key} ${value}`]));
const facts = [
  `${cpus()[0].model}, ${cpus().length} cores, load ${before.toFixed(1)} before and ${loadavg()[0].toFixed(1)} after; Node`,
  `${process.versions.node}; ${description}. BERT ${layers}×${hidden}, ${(parameters / 1e6).toFixed(1)} M parameters, a checkpoint of`,
  `${((12 * parameters) / 1e6).toFixed(0)} MB; ${sequences} sequences of ${length} tokens a step. ${rounds} rounds of \`npm run -s bench -- xla-overlap ${words.join(" ")}\`.`,
].join("\n");
const table = [
  line(["run", "a step, ms (median)", "from", "to"]),
  line(["---", "---:", "---:", "---:"]),
  ...variants.map(({ name, seconds }) => line([name, ...milliseconds(seconds)])),
].join("\n");
const found = [
  `A second step under way takes ${percent(saved)} off the time between steps. A checkpoint for which training waits takes`,
  `${cost.toFixed(2)} s, and ${percent(hidden_)} of that are hidden where it is written while training goes on (medians over the rounds).`,
].join("\n");
const made = [facts, table, found].join("\n\n");
console.log(made);
if (values.write) {
  const path = fileURLToPath(new URL("../docs/results/xla-overlap.md", import.meta.url));
  writeFileSync(path, `# What goes on at the same time on XLA\n\n${made}\n`);
}
