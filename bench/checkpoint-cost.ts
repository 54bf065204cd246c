/**
 * What a checkpoint costs: a BERT's weights and moments written as a run writes them, with and without syncing what is
 * written and hashing it. Interleaved rounds, medians.
 *
 *   npm run -s bench -- checkpoint-cost [--rounds 5] [--layers 6] [--hidden 384] [--vocab 8192] [--folder DIR]
 *
 * Reaches into src/ (bench/run.mjs says how it is run).
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { optimizerFile, optimizerTensors } from "../src/checkpoint/optimizer.ts";
import { type TensorSource, writeWeights } from "../src/checkpoint/write.ts";
import { architectureOf } from "../src/model/architectures.ts";
import { initialise } from "../src/model/init.ts";
import { parameterCount, shapeOf } from "../src/model/table.ts";
import { checkFiles } from "../src/store/checksums.ts";
import { writeFolderWhole } from "../src/store/files.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    layers: { type: "string", default: "6" },
    hidden: { type: "string", default: "384" },
    vocab: { type: "string", default: "8192" },
    folder: { type: "string", default: tmpdir() },
  },
});

const hidden = Number(values.hidden);
const config = {
  model_type: "bert",
  architectures: ["BertForMaskedLM"],
  vocab_size: Number(values.vocab),
  hidden_size: hidden,
  num_hidden_layers: Number(values.layers),
  num_attention_heads: hidden / 64,
  intermediate_size: 4 * hidden,
};
const { parameters } = architectureOf(config, "bench").model(config, "bench");
const drawn = parameters.map((parameter) => ({
  name: parameter.name,
  shape: shapeOf(parameter),
  data: initialise(parameter, 1),
}));
const weights: TensorSource[] = drawn.map(({ name, shape, data }) => ({
  name,
  dtype: "F32",
  shape,
  data: async () => data,
}));
const moments = optimizerTensors(
  drawn.map(({ name, shape, data }) => ({ name, shape, moment: async () => data, steps: async () => 1 })),
);

mkdirSync(values.folder, { recursive: true });
const folder = mkdtempSync(join(values.folder, "checkpoint-cost-"));
const place = join(folder, "checkpoint");

async function write(checksums: boolean): Promise<void> {
  await writeFolderWhole(
    place,
    async (temporary) => {
      await writeWeights(temporary, weights);
      await writeWeights(temporary, moments, { fileName: optimizerFile });
    },
    { replace: true, checksums },
  );
}

const handle = await open(process.execPath);
const prototype: { sync(): Promise<void>; datasync(): Promise<void> } = Object.getPrototypeOf(handle);
await handle.close();
const { sync, datasync } = prototype;
const setSync = (on: boolean) => {
  prototype.sync = on ? sync : async () => {};
  prototype.datasync = on ? datasync : async () => {};
};

const variants = [
  { name: "synced and hashed, as a run does it", sync: true, hash: true },
  { name: "synced, not hashed", sync: true, hash: false },
  { name: "hashed, not synced", sync: false, hash: true },
  { name: "neither", sync: false, hash: false },
].map((variant) => ({ ...variant, seconds: [] as number[], processor: [] as number[] }));
const verified: number[] = [];

try {
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const variant of variants) {
      setSync(variant.sync);
      const start = performance.now();
      const before = process.cpuUsage();
      await write(variant.hash);
      const { user, system } = process.cpuUsage(before);
      // The first round warms up.
      if (round > 0) {
        variant.seconds.push((performance.now() - start) / 1000);
        variant.processor.push((user + system) / 1e6);
      }
      // What was left in memory is not the next one's to write.
      setSync(true);
      const all = await open(folder);
      await all.sync();
      await all.close();
      if (variant.hash && variant.sync) {
        const began = performance.now();
        await checkFiles(place);
        if (round > 0) verified.push((performance.now() - began) / 1000);
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const bytes = 12 * parameterCount(parameters);
const told = (list: readonly number[]) => {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  return `${middle.toFixed(3)} s (${sorted[0].toFixed(3)}–${sorted[sorted.length - 1].toFixed(3)})`;
};
console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.versions.node}`);
console.log(
  `${(parameterCount(parameters) / 1e6).toFixed(1)} M parameters, a checkpoint of ${(bytes / 1e6).toFixed(0)} MB`,
);
for (const { name, seconds, processor } of variants) {
  console.log(`${name}: ${told(seconds)}, of the processor ${told(processor)}`);
}
console.log(`read and held against its checksums, from the page cache: ${told(verified)}`);
