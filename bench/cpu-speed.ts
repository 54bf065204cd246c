/**
 * A training step of ours against PyTorch's on the same cores, both in processes of their own that take turns.
 *
 *   npm run -s bench -- cpu-speed [--workloads bert-small,…] [--runners onednn-bf16,…] [--pairs 5] [--steps 3] [--write]
 *
 * A pair is a turn of each runner: a step that is not counted and `steps` that are. Printed are the median step, its
 * range, processor time, peak memory (VmHWM), and for each runner the median over the pairs of its step's ratio to the
 * first runner's, with its range; once by the clock and once by processor time, which is what remains comparable when
 * others use the machine. --write puts the table into docs/results/cpu-speed.md. The peers need a Python
 * (BERT2BERT_PYTHON, else python3) with torch and transformers, torch.compile a C++ compiler.
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

/** From dist/bench/, where it is built to. */
const root = fileURLToPath(new URL("../../", import.meta.url));

const small = { kind: "bert", layers: 6, hidden: 384, heads: 6, vocabulary: 8192, batch: 16, length: 128, masked: 20 };
const base = { ...small, layers: 12, hidden: 768, heads: 12, vocabulary: 30522, batch: 8 };
const gpt2 = { ...base, kind: "gpt2", vocabulary: 50257, batch: 2, length: 256 };
const workloads: Readonly<Record<string, object>> = {
  "bert-small": { ...small, dropout: 0 },
  "bert-base": { ...base, dropout: 0 },
  gpt2: { ...gpt2, dropout: 0 },
  "bert-small-dropout": { ...small, dropout: 0.1 },
  "bert-base-dropout": { ...base, dropout: 0.1 },
  "gpt2-dropout": { ...gpt2, dropout: 0.1 },
  // The top block of two of six: a sub-model's step as the two-stage plan has it.
  "bert-small-sub-model": { ...small, dropout: 0, bottom: 2, train: 2 },
};

const own = (engine: string, precision: string) => ({ own: true, engine, precision });
const peer = (style: string, precision: string, compile: boolean) => ({ own: false, style, precision, compile });
const runners: Readonly<Record<string, { readonly own: boolean }>> = {
  "onednn-bf16": own("onednn", "bf16"),
  "onednn-f32": own("onednn", "f32"),
  "onnx-f32": own("onnx", "f32"),
  ...Object.fromEntries(
    ["transformers", "expert"].flatMap((style) =>
      ["f32", "bf16"].flatMap((precision) => [
        [`${style}-${precision}`, peer(style, precision, false)],
        [`${style}-${precision}-compiled`, peer(style, precision, true)],
      ]),
    ),
  ),
};

interface Turn {
  readonly seconds: readonly number[];
  readonly processor: readonly number[];
  readonly peak: number;
}

interface Runner {
  readonly name: string;
  readonly ready: string;
  turn(steps: number): Promise<Turn>;
  close(): void;
}

async function start(name: string, workload: object, threads: number): Promise<Runner> {
  const runner = runners[name];
  if (runner === undefined) throw new Error(`there is no runner ${name}; there are ${Object.keys(runners).join(", ")}`);
  const file = `${root}bench/peers/${runner.own ? "own_step.mjs" : "torch_step.py"}`;
  const program = runner.own ? process.execPath : (process.env.BERT2BERT_PYTHON ?? "python3");
  const child = spawn(program, [file], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, CUDA_VISIBLE_DEVICES: "", HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: String(threads) },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (line: string) => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name} ended`);
    return JSON.parse(value);
  };
  const { ready } = await ask(JSON.stringify({ ...workload, ...runner, threads }));
  return { name, ready, turn: (steps) => ask(String(steps)), close: () => child.stdin.end() };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const range = (values: readonly number[], digits: number) =>
  `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${Math.max(...values).toFixed(digits)})`;

async function compare(workload: string, names: readonly string[], pairs: number, steps: number, threads: number) {
  const running: Runner[] = [];
  const turns: Turn[][] = names.map(() => []);
  try {
    for (const name of names) running.push(await start(name, workloads[workload], threads));
    for (const runner of running) await runner.turn(2);
    for (let pair = 0; pair < pairs; pair++) {
      for (const [i, runner] of running.entries()) {
        const { seconds, processor, peak } = await runner.turn(steps + 1);
        turns[i].push({ seconds: seconds.slice(1), processor: processor.slice(1), peak });
      }
    }
  } finally {
    for (const runner of running) runner.close();
  }
  const head = ["runner", "a step, s", "processor time, s", "ratio by the clock", "by processor time", "peak, MiB"];
  const rows = running.map(({ name, ready }, i) => {
    const ratios = (of: "seconds" | "processor") =>
      range(
        turns[i].map((turn, pair) => median(turn[of]) / median(turns[0][pair][of])),
        2,
      );
    return [
      `${name} (${ready})`,
      range(
        turns[i].flatMap((turn) => turn.seconds),
        2,
      ),
      range(
        turns[i].flatMap((turn) => turn.processor),
        2,
      ),
      ratios("seconds"),
      ratios("processor"),
      String(Math.round(Math.max(...turns[i].map((turn) => turn.peak)) / 1024)),
    ];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      workloads: { type: "string", default: Object.keys(workloads).join() },
      runners: { type: "string", default: Object.keys(runners).join() },
      pairs: { type: "string", default: "5" },
      steps: { type: "string", default: "3" },
      threads: { type: "string", default: String(availableParallelism()) },
      write: { type: "boolean", default: false },
    },
  });
  const [pairs, steps, threads] = [values.pairs, values.steps, values.threads].map(Number);
  const parts: string[] = [];
  for (const workload of values.workloads.split(",")) {
    const load = loadavg()[0].toFixed(1);
    const machine = `${cpus()[0].model}, ${threads} threads, Node ${process.versions.node}, load ${load} before`;
    const text = await compare(workload, values.runners.split(","), pairs, steps, threads);
    const facts = `${machine}; ${pairs} pairs of ${steps} steps.`;
    parts.push(`### ${workload}\n\n${facts}\n\n${text}\n`);
    console.log(parts.at(-1));
  }
  if (!values.write) return;
  const path = `${root}docs/results/cpu-speed.md`;
  const [before, rest] = readFileSync(path, "utf8").split("<!-- measured -->\n");
  const after = rest.split("<!-- end -->")[1];
  writeFileSync(path, `${before}<!-- measured -->\n\n${parts.join("\n")}\n<!-- end -->${after}`);
}

await main();
