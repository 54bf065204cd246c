/**
 * A BERT training step on the ONNX engine against transformers' eager one, both in f32 on the same cores.
 *
 *   npm run -s bench -- step-speed [--pairs 7] [--steps 3] [--threads 2] [--alone]
 *
 * The two take turns, so that neither runs while the other is measured: a turn is a step that is not counted (caches,
 * sleeping threads) and `steps` that are. Printed are the median step of each, the median over the pairs of the ratio
 * of their turns with its range, and the peak memory (VmHWM) of both processes. --alone leaves the peer out.
 * The peer needs a Python (BERT2BERT_PYTHON, else python3) with torch and transformers.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openEngine } from "../src/engine/engines.ts";
import { architectureOf } from "../src/model/architectures.ts";
import { initialise } from "../src/model/init.ts";
import { shapeOf } from "../src/model/table.ts";
import { buildStep, momentNames } from "../src/train/step.ts";
import { RandomStream } from "../src/util/random.ts";

const shape = { layers: 6, hidden: 384, heads: 6, ffn: 1536, vocabulary: 8192, batch: 16, length: 128, masked: 20 };

interface Turn {
  readonly seconds: readonly number[];
  /** Seconds of processor time of each step, all threads together, waiting in a loop included. */
  readonly processor: readonly number[];
  /** KiB. */
  readonly peak: number;
}

interface Runner {
  readonly name: string;
  turn(steps: number): Promise<Turn>;
  close(): Promise<void>;
}

async function ours(threads: number): Promise<Runner> {
  const { layers, hidden, heads, ffn, vocabulary, batch, length, masked } = shape;
  const config = {
    model_type: "bert",
    architectures: ["BertForMaskedLM"],
    vocab_size: vocabulary,
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: ffn,
    max_position_embeddings: length,
    hidden_act: "gelu",
  };
  const model = architectureOf(config, "bench").model(config, "bench");
  const form = {
    loss: { objective: "mlm" as const, batch, length, perSequence: masked },
    model: { layers, train: layers },
    head: true,
    accumulate: 1,
  };
  const programs = buildStep(model, form, { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 });
  const engine = await openEngine({ kind: "onnx", threads, precision: "f32" });
  for (const parameter of programs.trained) {
    const { m, v, steps } = momentNames(parameter.name);
    const count = shapeOf(parameter).reduce((n, extent) => n * extent, 1);
    const drawn = initialise(parameter, 1, 0, Math.min(count, 65_536));
    const data = Float32Array.from({ length: count }, (_, i) => drawn[i % drawn.length]);
    await engine.write(parameter.name, shapeOf(parameter), data);
    for (const name of [m, v]) await engine.write(name, shapeOf(parameter), new Float32Array(data.length));
    await engine.write(steps, [], new Float32Array(1));
  }
  const executable = await engine.compile(programs.batch);
  const random = new RandomStream(1, "bench");
  const ids = Int32Array.from({ length: batch * length }, (_, i) => random.below(vocabulary, i));
  const gather = Int32Array.from({ length: batch * masked }, (_, i) => {
    const row = Math.floor(i / masked);
    return row * length + (((i % masked) * 6 + row) % length);
  });
  const inputs = {
    ids,
    gather,
    labels: gather.map((at) => ids[at]),
    weights: new Float32Array(batch * masked).fill(1 / (batch * masked)),
    rate: Float32Array.of(1e-4),
  };
  return {
    name: `bert2bert, ${engine.description}`,
    async turn(steps) {
      const seconds: number[] = [];
      const processor: number[] = [];
      for (let i = 0; i < steps; i++) {
        const start = performance.now();
        const before = process.cpuUsage();
        await executable.run(inputs);
        const { user, system } = process.cpuUsage(before);
        seconds.push((performance.now() - start) / 1000);
        processor.push((user + system) / 1e6);
      }
      return { seconds, processor, peak: peakOf("self") };
    },
    close: () => engine.close(),
  };
}

async function theirs(threads: number): Promise<Runner> {
  const python = process.env.BERT2BERT_PYTHON ?? "python3";
  const child = spawn(python, [fileURLToPath(new URL("./peers/transformers_step.py", import.meta.url))], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, CUDA_VISIBLE_DEVICES: "", HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: String(threads) },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (line: string): Promise<Turn & { readonly ready: string }> => {
    child.stdin.write(`${line}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error(`${python} ended; it needs torch and transformers`);
    return JSON.parse(value);
  };
  const { ready } = await ask(JSON.stringify({ ...shape, threads }));
  return {
    name: `BertForMaskedLM, ${ready}`,
    turn: (steps) => ask(String(steps)),
    close: async () => {
      child.stdin.end();
    },
  };
}

function peakOf(process: string): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${process}/status`, "utf8"))?.[1]);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      pairs: { type: "string", default: "7" },
      steps: { type: "string", default: "3" },
      threads: { type: "string", default: "2" },
      alone: { type: "boolean", default: false },
    },
  });
  const [pairs, steps, threads] = [values.pairs, values.steps, values.threads].map(Number);
  const runners = [await ours(threads), ...(values.alone ? [] : [await theirs(threads)])];
  for (const runner of runners) await runner.turn(2);
  const turns = runners.map((): Turn[] => []);
  for (let pair = 0; pair < pairs; pair++) {
    for (const [i, runner] of runners.entries()) {
      const { seconds, processor, peak } = await runner.turn(steps + 1);
      turns[i].push({ seconds: seconds.slice(1), processor: processor.slice(1), peak });
    }
  }
  runners.forEach(({ name }, i) => {
    const all = turns[i].flatMap(({ seconds }) => seconds);
    const [least, most] = [Math.min(...all), Math.max(...all)].map((s) => s.toFixed(3));
    const peak = Math.max(...turns[i].map((turn) => turn.peak)) / 1024;
    const processor = median(turns[i].flatMap((turn) => turn.processor)).toFixed(3);
    console.log(
      `${name}: ${median(all).toFixed(3)} s a step (${least} to ${most}), ${processor} s of processor time, peak ${peak.toFixed(0)} MiB`,
    );
  });
  if (runners.length === 2) {
    const ratios = turns[0].map((turn, i) => median(turns[1][i].seconds) / median(turn.seconds));
    const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map((r) => r.toFixed(2));
    console.log(`speed against the peer: ${median(ratios).toFixed(3)} (${least} to ${most}, ${pairs} pairs)`);
  }
  for (const runner of runners) await runner.close();
}

await main(process.argv.slice(2));
