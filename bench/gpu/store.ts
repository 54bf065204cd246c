/**
 * What the pieces of bench/gpu hold a device to, made where the sources are: cases.mjs (the programs of the engines'
 * tests), operations.bin (what the reference engine answers to each, f32 or i32, one after the other) and steps.json (the
 * losses of training steps on the engine onnx).
 *
 *   npm run -s bench -- gpu/store FOLDER
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { openReference } from "../../test/engine/compare.ts";
import { Bench, cases } from "./cases.ts";

const folder = process.argv[2];
if (folder === undefined) throw new Error("give the folder to write into");
mkdirSync(folder, { recursive: true });

const bundle = await rolldown({
  input: fileURLToPath(new URL("./cases.ts", import.meta.url)),
  platform: "node",
  external: /^[^./]/,
});
await bundle.write({ file: `${folder}/cases.mjs`, format: "esm" });
await bundle.close();

const reference = await openReference();
const answers: Buffer[] = [];
for (const { builds } of Object.values(cases)) {
  for (const build of builds) {
    const bench = new Bench();
    build(bench).forEach((value, i) => {
      bench.b.output(`${i}`, value);
    });
    const program = await reference.compile(bench.b.build());
    for (const data of Object.values(await program.run(bench.inputs))) {
      answers.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    }
    await program.release();
  }
}
writeFileSync(`${folder}/operations.bin`, Buffer.concat(answers));

const made = spawnSync(process.execPath, [fileURLToPath(new URL("./steps.mjs", import.meta.url)), "store", folder], {
  stdio: "inherit",
});
if (made.status !== 0) process.exit(1);
