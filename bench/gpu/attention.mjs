/** Piece (b): fused attention (cuDNN) against plain: how far results and gradients are apart, and the time of both. */
import { median, once, round, small } from "./lib.mjs";

const { openEngine } = await import("../../dist/engine/engines.js");
const { ProgramBuilder } = await import("../../dist/program/builder.js");
const ops = await import("../../dist/program/ops/index.js");
const { RandomStream } = await import("../../dist/util/random.js");

const forms = {
  "BERT-base 256×128": { batch: 256, length: 128, heads: 12, width: 64 },
  "BERT-base 256×128, padded": { batch: 256, length: 128, heads: 12, width: 64, padded: true },
  "GPT-2 32×1024": { batch: 32, length: 1024, heads: 12, width: 64, causal: true },
  "Llama 16×1024, 32 heads over 8": { batch: 16, length: 1024, heads: 32, kvHeads: 8, width: 64, causal: true },
  "Mistral 8×2048, window 512": { batch: 8, length: 2048, heads: 16, kvHeads: 4, width: 64, causal: true, window: 511 },
};
const RUNS = small ? 2 : 20;

/** The scores' inputs are states, so that a run moves nothing but one number. */
async function measure(attention, form, data) {
  const { batch, length, heads, kvHeads = heads, width, causal = false, window, padded } = form;
  const engine = await openEngine({ kind: "xla", threads: 2, precision: "bf16", options: { attention } });
  const b = new ProgramBuilder();
  const names = ["q", "k", "v", "g"];
  const shapes = names.map((name) => [batch, length, (name === "k" || name === "v" ? kvHeads : heads) * width]);
  const [q, k, v, g] = names.map((name, i) => b.state(name, shapes[i]));
  for (const [i, name] of names.entries()) await engine.write(name, shapes[i], data[i]);
  const bias = () => {
    const mask = ops.reshape(b, b.input("mask", [batch * length], "f32", batch), [batch, length]);
    return ops.scale(b, ops.sub(b, mask, ops.constant(b, 1)), 1e30);
  };
  const mask = padded ? { bias: bias(), prefix: true } : {};
  const { out, probs } = ops.attention(b, q, k, v, { heads, kvHeads, causal, window, ...mask });
  const said = { heads, kvHeads, scale: 1 / Math.sqrt(width) };
  const [dq, dk, dv] = b.apply(ops.attentionGradOp, [g, q, k, v, out, probs], said);
  const results = { out, dq, dk, dv };
  // All is read, little comes back.
  for (const [name, value] of Object.entries(results)) {
    b.output(name, ops.reduceSum(b, ops.mul(b, value, value), [0, 1, 2]));
    const rows = ops.reshape(b, value, [batch * length, value.shape[2]]);
    b.output(`${name} of the last`, ops.slice(b, rows, 0, (batch - 1) * length, batch * length));
  }
  const program = await engine.compile(b.build());
  const lengths = Float32Array.from({ length: batch * length }, (_, i) => {
    const row = Math.floor(i / length);
    return row % 2 === 1 && i % length >= 0.75 * length ? 0 : 1;
  });
  const given = padded ? { mask: lengths } : {};
  const answers = await program.run(given);
  const seconds = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    await Promise.all(Array.from({ length: RUNS }, () => program.run(given)));
    seconds.push((performance.now() - start) / 1000 / RUNS);
  }
  await engine.close();
  return { answers, seconds: median(seconds), memory: program.memory };
}

for (const [name, full] of Object.entries(forms)) {
  const form = small ? { ...full, batch: 2, length: 64, window: full.window && 15 } : full;
  await once("attention", name, async () => {
    const { batch, length, heads, kvHeads = heads, width } = form;
    const data = [heads, kvHeads, kvHeads, heads].map((count, stream) => {
      const random = new RandomStream(3, "attention", stream);
      const drawn = Float32Array.from({ length: 65_521 }, (_, i) => random.normal(i));
      return Float32Array.from({ length: batch * length * count * width }, (_, i) => drawn[i % drawn.length]);
    });
    const plain = await measure("plain", form, data);
    const ms = (seconds) => round(1000 * seconds, 3);
    const figures = {
      "plain, ms": ms(plain.seconds),
      "plain, MiB": Math.round((plain.memory?.working ?? 0) / 2 ** 20),
    };
    let fused;
    try {
      fused = await measure("fused", form, data);
    } catch (error) {
      return { ...figures, fused: error.message.split("\n")[0].slice(0, 160) };
    }
    const gaps = Object.entries(plain.answers).map(([key, value]) => {
      let [most, apart] = [0, 0];
      for (let i = 0; i < value.length; i++) {
        most = Math.max(most, Math.abs(value[i]));
        apart = Math.max(apart, Math.abs(value[i] - fused.answers[key][i]));
      }
      return [key, most === 0 ? apart : apart / most];
    });
    const worst = gaps.reduce((a, b) => (b[1] > a[1] ? b : a));
    return {
      ...figures,
      "fused, ms": ms(fused.seconds),
      "fused, MiB": Math.round((fused.memory?.working ?? 0) / 2 ** 20),
      "largest gap": `${worst[1].toExponential(1)} (${worst[0]})`,
    };
  });
}
