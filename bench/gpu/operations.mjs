/** Piece (a): every operation against the reference engine's stored results, in f32 and in bf16. */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { once, store } from "./lib.mjs";

const { Bench, cases, gap } = await import(pathToFileURL(`${store}/cases.mjs`).href);
const { openEngine } = await import("../../dist/engine/engines.js");
const stored = readFileSync(`${store}/operations.bin`);

for (const precision of ["f32", "bf16"]) {
  await once("operations", precision, async () => {
    const engine = await openEngine({ kind: "xla", threads: 2, precision });
    const wrong = [];
    let [at, programs, worst] = [0, 0, { name: "", share: 0 }];
    for (const [name, { within = 1e-6, builds }] of Object.entries(cases)) {
      for (const build of builds) {
        const bench = new Bench();
        build(bench).forEach((value, i) => {
          bench.b.output(`${i}`, value);
        });
        const built = bench.b.build();
        const program = await engine.compile(built);
        const actual = await program.run(bench.inputs);
        await program.release();
        programs++;
        for (const [output, { dtype }] of built.outputs) {
          const bytes = new Uint8Array(stored.subarray(at, at + actual[output].byteLength));
          at += bytes.length;
          const expected = dtype === "i32" ? new Int32Array(bytes.buffer) : new Float32Array(bytes.buffer);
          const apart = gap(actual[output], expected);
          // As the engines' tests: bf16 has 8 bits of an operand, so a result to a hundredth or so.
          const allowed = within === 0 ? 0 : Math.max(within, precision === "bf16" ? 0.02 : 0);
          if (!(apart <= allowed)) wrong.push(`${name} ${apart.toPrecision(2)}`);
          if (allowed > 0 && apart / allowed > worst.share) worst = { name, share: apart / allowed };
        }
      }
    }
    await engine.close();
    if (at !== stored.length) wrong.push("not as many numbers as are stored");
    const nearest = `${worst.name}: ${worst.share.toFixed(2)} of its tolerance`;
    return { engine: engine.description, programs, wrong: wrong.join("; ") || "none", "nearest to wrong": nearest };
  });
}
