/**
 * Pieces (d) and (e): a training step of BERT-base at 256×128 or GPT-2 small at 32×1024, ours and transformers' under
 * torch.compile (bf16, fused AdamW), in the same call, each in a process of its own. `speed.mjs bert|gpt2`.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { left, median, once, peak, round, small } from "./lib.mjs";

const kind = process.argv[2];
const full = {
  bert: { layers: 12, hidden: 768, heads: 12, vocabulary: 30522, batch: 256, length: 128, masked: 20 },
  gpt2: { layers: 12, hidden: 768, heads: 12, vocabulary: 50257, batch: 32, length: 1024 },
}[kind];
const tiny = { layers: 2, hidden: 64, heads: 2, vocabulary: 512, batch: 4, length: 32, masked: 5 };
const shape = { ...(small ? { ...full, ...tiny } : full), kind };
const STEPS = small ? 2 : 20;

const ours = (attention, dropout) => ({ own: true, attention, dropout });
const theirs = (style, dropout) => ({ own: false, style, dropout });
/** The most telling first: what there is no time for is left out. */
const cases = {
  "ours, fused, no dropout": ours("auto", 0),
  "transformers, compiled, no dropout": theirs("transformers", 0),
  "ours, plain, dropout 0.1": ours("plain", 0.1),
  "transformers, compiled, dropout 0.1": theirs("transformers", 0.1),
  "ours, plain, no dropout": ours("plain", 0),
  "ours, fused, dropout 0.1 but of attention": ours("auto", { embedding: 0.1, attention: 0, hidden: 0.1 }),
  "an expert's script, compiled, no dropout": theirs("expert", 0),
};

const speed = (seconds, flops) => ({
  "a step, ms": round(1000 * median(seconds), 2),
  "from to": [Math.min(...seconds), Math.max(...seconds)].map((s) => (1000 * s).toFixed(2)).join(" to "),
  "tokens/s": Math.round((shape.batch * shape.length) / median(seconds)),
  ...(flops === undefined ? {} : { "TFLOP a step": round(flops / 1e12, 2) }),
  ...(flops === undefined || peak === undefined ? {} : { MFU: round(flops / median(seconds) / 1e12 / peak, 3) }),
});

/** In this process. */
async function own({ attention, dropout }) {
  const { openStep } = await import("../peers/step.mjs");
  const began = performance.now();
  const spec = { ...shape, dropout, engine: "xla", threads: 4, precision: "bf16", options: { attention } };
  const { opened, executable, inputs, flops } = await openStep(spec);
  const ready = (performance.now() - began) / 1000;
  let step = 0;
  const several = async (count) => {
    const under = [];
    const start = performance.now();
    for (let i = 0; i < count; i++) {
      under.push(executable.run(inputs(step++)));
      if (under.length > (opened.ahead ?? 1)) await under.shift();
    }
    const answers = await Promise.all(under);
    return { seconds: (performance.now() - start) / 1000 / count, loss: answers.at(-1).loss[0] };
  };
  await several(3);
  const turns = [];
  for (let i = 0; i < 3; i++) turns.push(await several(STEPS));
  const { kept, working } = executable.memory ?? { kept: 0, working: 0 };
  await opened.close();
  return {
    ...speed(
      turns.map(({ seconds }) => seconds),
      flops,
    ),
    ...{ "memory, GiB": round((kept + working) / 2 ** 30, 1), loss: round(turns.at(-1).loss, 4) },
    ...{ "compiled in, s": round(ready, 1), by: opened.description, flops },
  };
}

function peer({ style, dropout }, flops) {
  const file = fileURLToPath(new URL("../peers/torch_step.py", import.meta.url));
  const compile = !small;
  const spec = { ...shape, style, dropout, precision: "bf16", compile, threads: 4, masked: shape.masked ?? 0 };
  const input = [JSON.stringify({ ...spec, device: "auto" }), 3, STEPS, STEPS, STEPS, ""].join("\n");
  const options = {
    input,
    encoding: "utf8",
    timeout: Math.round(1000 * Math.min(Math.max(1, left()), 3600)),
    maxBuffer: 2 ** 26,
  };
  const { stdout, stderr, error } = spawnSync(process.env.BERT2BERT_PYTHON ?? "python3", [file], options);
  const [ready, , ...turns] = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  if (turns.length < 3) throw new Error(`${error?.message ?? ""} ${stderr.trim().split("\n").at(-1)}`);
  return {
    ...speed(
      turns.flatMap(({ seconds }) => median(seconds)),
      flops,
    ),
    ...{ "memory, GiB": round(turns[0].peak / 2 ** 20, 1), by: ready.ready },
  };
}

const name = process.argv[3];
if (name !== undefined) {
  console.log(JSON.stringify(await own(cases[name])));
} else {
  const self = fileURLToPath(import.meta.url);
  let flops;
  for (const [what, spec] of Object.entries(cases)) {
    if (left() < (small ? 10 : 100)) {
      console.error(`no time is left for: ${what}`);
      continue;
    }
    await once(`speed of ${kind}`, what, () => {
      if (!spec.own) return peer(spec, flops);
      const options = { encoding: "utf8", timeout: Math.round(1000 * Math.min(left(), 3600)), maxBuffer: 2 ** 26 };
      const { stdout, stderr, error } = spawnSync(process.execPath, [self, kind, what], options);
      const line = stdout.split("\n").find((one) => one.startsWith("{"));
      if (line === undefined) throw new Error(error?.message ?? stderr.trim().slice(-300));
      const { flops: counted, ...figures } = JSON.parse(line);
      flops = counted;
      return figures;
    });
  }
}
