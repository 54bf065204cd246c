/**
 * A training step of ours for bench/cpu-speed.ts, a process of its own like the peers, with the same lines in and out:
 * what to do as JSON, then numbers of steps. Runs from dist/.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const dist = new URL("../../dist/", import.meta.url).href;
const { openEngine } = await import(`${dist}engine/engines.js`);
const { architectureOf } = await import(`${dist}model/architectures.js`);
const { initialise } = await import(`${dist}model/init.js`);
const { shapeOf } = await import(`${dist}model/table.js`);
const { buildStep, momentNames } = await import(`${dist}train/step/step.js`);
const { RandomStream } = await import(`${dist}util/random.js`);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const spec = JSON.parse((await lines.next()).value);
const { batch, length, hidden, heads, layers, vocabulary, masked, dropout, kind, threads, precision, engine } = spec;
const bert = kind === "bert";
const config = bert
  ? {
      ...{ model_type: "bert", architectures: ["BertForMaskedLM"], vocab_size: vocabulary, hidden_size: hidden },
      ...{ num_hidden_layers: layers, num_attention_heads: heads, intermediate_size: 4 * hidden },
      ...{ max_position_embeddings: length, hidden_act: "gelu" },
    }
  : {
      ...{ model_type: "gpt2", architectures: ["GPT2LMHeadModel"], vocab_size: vocabulary, n_embd: hidden },
      ...{ n_layer: layers, n_head: heads, n_positions: length, activation_function: "gelu_new" },
    };
const model = architectureOf(config, "bench").model(config, "bench");
const rates = dropout > 0 ? { dropout: { embedding: dropout, attention: dropout, hidden: dropout } } : {};
const loss = { objective: bert ? "mlm" : "clm", batch, length, perSequence: bert ? masked : length, ...rates };
const train = spec.train ?? layers;
const form = { loss, model: { layers: spec.bottom ?? layers, train }, head: true, accumulate: 1 };
const programs = buildStep(model, form, { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01, clip: 1 });
const opened = await openEngine({ kind: engine, threads, precision });
for (const parameter of programs.trained.length > 0 ? model.parameters : []) {
  const { m, v, steps } = momentNames(parameter.name);
  const count = shapeOf(parameter).reduce((n, extent) => n * extent, 1);
  const drawn = initialise(parameter, 1, 0, Math.min(count, 65_536));
  const data = Float32Array.from({ length: count }, (_, i) => drawn[i % drawn.length]);
  await opened.write(parameter.name, shapeOf(parameter), data);
  for (const name of [m, v]) await opened.write(name, shapeOf(parameter), new Float32Array(count));
  await opened.write(steps, [], new Float32Array(1));
}
const executable = await opened.compile(programs.batch);
const random = new RandomStream(1, "bench");
const ids = Int32Array.from({ length: batch * length }, (_, i) => random.below(vocabulary, i));
const places = Int32Array.from({ length: batch * masked }, (_, i) => {
  const row = Math.floor(i / masked);
  return row * length + (((i % masked) * 6 + row) % length);
});
const rows = bert ? batch * masked : batch * length;
const inputs = (step) => ({
  ids,
  ...(bert ? { gather: places, labels: places.map((at) => ids[at]) } : { labels: ids.map((_, i) => ids[i + 1] ?? 0) }),
  weights: new Float32Array(rows).fill(1 / rows),
  rate: Float32Array.of(1e-4),
  ...(dropout > 0 ? { key: Int32Array.of(1, step) } : {}),
});
console.log(JSON.stringify({ ready: opened.description, flops: programs.flops }));
let step = 0;
for await (const line of lines) {
  const [seconds, processor] = [[], []];
  for (let i = 0; i < Number(line); i++) {
    const given = inputs(step++);
    const [start, before] = [performance.now(), process.cpuUsage()];
    await executable.run(given);
    const { user, system } = process.cpuUsage(before);
    seconds.push((performance.now() - start) / 1000);
    processor.push((user + system) / 1e6);
  }
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]);
  console.log(JSON.stringify({ seconds, processor, peak }));
}
await opened.close();
