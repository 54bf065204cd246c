/** Piece (f): whether a step of BERT-large and of a decoder of a billion parameters fits, in what memory, how fast. */
import { openStep } from "../peers/step.mjs";
import { left, once, peak, round, small } from "./lib.mjs";

const large = { kind: "bert", layers: 24, hidden: 1024, heads: 16, vocabulary: 30522, length: 128, masked: 20 };
/** Llama's shape: 1.1 billion parameters. */
const billion = {
  ...{ kind: "llama", layers: 16, hidden: 2048, heads: 32, kvHeads: 8, ffn: 8192, vocabulary: 32000, length: 1024 },
};
const specs = {
  "BERT-large 128×128": { ...large, batch: 128, dropout: 0.1 },
  "a decoder of 1.1 billion 4×1024": { ...billion, batch: 4 },
  "a decoder of 1.1 billion 8×1024": { ...billion, batch: 8 },
};
const tiny = {
  layers: 2,
  hidden: 64,
  heads: 4,
  kvHeads: 2,
  ffn: 128,
  vocabulary: 512,
  batch: 2,
  length: 32,
  masked: 5,
};

for (const [what, full] of Object.entries(specs)) {
  if (left() < (small ? 10 : 120)) continue;
  await once("fit", what, async () => {
    const spec = small ? { ...full, ...tiny } : full;
    const step = await openStep({ ...spec, engine: "xla", threads: 4, precision: "bf16" });
    const { opened, executable, inputs, flops } = step;
    const { loss } = await executable.run(inputs(0));
    const start = performance.now();
    for (let i = 1; i <= 3; i++) await executable.run(inputs(i));
    const seconds = (performance.now() - start) / 3000;
    const { kept, working } = executable.memory ?? { kept: 0, working: 0 };
    await opened.close();
    return {
      ...{
        "kept, GiB": round(kept / 2 ** 30, 2),
        "working, GiB": round(working / 2 ** 30, 2),
        loss: round(loss[0], 3),
      },
      ...{ "a step, ms": round(1000 * seconds, 1), "TFLOP a step": round(flops / 1e12, 2) },
      ...(peak === undefined ? {} : { MFU: round(flops / seconds / 1e12 / peak, 3) }),
    };
  });
}
