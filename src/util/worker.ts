/**
 * Where a worker thread's script is. Node runs only JavaScript in a worker, so code that itself runs from `src/` (the
 * tests) starts the built file of the same name in `dist/`; `npm test` builds before it tests.
 */
import { existsSync } from "node:fs";
import { relative, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { packageRoot } from "./paths.ts";

/**
 * @param from the caller's `import.meta.url`
 * @param script the worker's file relative to the caller, as in an import: "./worker.ts"
 * @throws Error if the script has not been built
 */
export function workerUrl(from: string, script: string): URL {
  const url = new URL(script.replace(/\.ts$/, from.endsWith(".ts") ? ".ts" : ".js"), from);
  if (!from.endsWith(".ts")) return url;
  const inside = relative(`${packageRoot()}src`, fileURLToPath(url)).split(sep).join("/");
  const built = `${packageRoot()}dist/${inside.replace(/\.ts$/, ".js")}`;
  if (!existsSync(built)) throw new Error(`${built} is missing: run \`npm run build\` first`);
  return pathToFileURL(built);
}
