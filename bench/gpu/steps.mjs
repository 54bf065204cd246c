/**
 * Piece (c): twenty training steps with dropout against stored losses, twice, and whether both end in the same bytes.
 *
 * `steps.mjs store FOLDER` makes the losses, on the engine onnx.
 */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { openStep } from "../peers/step.mjs";
import { once, store } from "./lib.mjs";

const shape = { layers: 4, hidden: 128, heads: 4, vocabulary: 500, batch: 8, length: 64, masked: 10, dropout: 0.1 };
const specs = {
  bert: { ...shape, kind: "bert", padded: true },
  gpt2: { ...shape, kind: "gpt2" },
  llama: { ...shape, kind: "llama", kvHeads: 2, ffn: 344, dropout: { attention: 0.1 } },
};
const STEPS = 20;

async function train(spec) {
  const { opened, executable, inputs, names } = await openStep({ ...spec, threads: 2 });
  const losses = [];
  for (let step = 0; step < STEPS; step++) losses.push((await executable.run(inputs(step))).loss[0]);
  const hash = createHash("sha256");
  for (const name of names) hash.update(new Uint8Array((await opened.read(name)).buffer));
  await opened.close();
  return { description: opened.description, losses, digest: hash.digest("hex") };
}

if (process.argv[2] === "store") {
  const losses = {};
  for (const [name, spec] of Object.entries(specs)) {
    losses[name] = (await train({ ...spec, engine: "onnx", precision: "f32" })).losses;
  }
  writeFileSync(`${process.argv[3]}/steps.json`, `${JSON.stringify(losses)}\n`);
} else {
  const stored = JSON.parse(readFileSync(`${store}/steps.json`, "utf8"));
  for (const [name, spec] of Object.entries(specs)) {
    for (const [precision, within] of [
      ["f32", 1e-5],
      ["bf16", 5e-3],
    ]) {
      await once("steps", `${name} ${precision}`, async () => {
        const runs = [];
        for (let i = 0; i < 2; i++) runs.push(await train({ ...spec, engine: "xla", precision }));
        const apart = runs[0].losses.map((loss, i) => Math.abs(loss - stored[name][i]) / stored[name][i]);
        const worst = Math.max(...apart);
        const [first, last] = [runs[0].losses[0], runs[0].losses.at(-1)].map((loss) => loss.toFixed(4));
        return {
          ...{ engine: runs[0].description, "losses, first to last": `${first} to ${last}` },
          ...{ "worst relative gap": worst.toExponential(1), allowed: within, right: worst <= within ? "yes" : "NO" },
          "same bytes twice": runs[0].digest === runs[1].digest ? "yes" : "no",
        };
      });
    }
  }
}
