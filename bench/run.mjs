/**
 * `npm run bench -- NAME [options]`: runs one of the programs beside this file, as built into dist/bench/. One that
 * reaches into src/ is not built there (tsconfig.bench.json leaves it out): Vite, which the tests bring, reads it.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [name] = process.argv.splice(2, 1);
const built = new URL(`../dist/bench/${name}.js`, import.meta.url);
if (existsSync(built)) await import(built.href);
else {
  const { runnerImport } = await import("vite");
  await runnerImport(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)), {
    logLevel: "error",
    // Node 20 has no `using`.
    oxc: { target: "node20" },
  });
}
