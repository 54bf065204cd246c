import { existsSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { packageRoot, packageVersion } from "../../src/util/paths.ts";
import { workerUrl } from "../../src/util/worker.ts";

describe("a worker's script", () => {
  it("is the built file, from src/ as from dist/", () => {
    const source = pathToFileURL(`${packageRoot()}src/util/paths.ts`).href;
    const built = pathToFileURL(`${packageRoot()}dist/util/paths.js`).href;
    expect(workerUrl(source, "./random.ts").href).toBe(workerUrl(built, "./random.ts").href);
    expect(workerUrl(source, "../index.ts").href).toBe(pathToFileURL(`${packageRoot()}dist/index.js`).href);
    expect(existsSync(fileURLToPath(workerUrl(source, "./random.ts")))).toBe(true);
  });

  it("that has not been built is said to be", () => {
    const source = pathToFileURL(`${packageRoot()}src/util/paths.ts`).href;
    expect(() => workerUrl(source, "./none.ts")).toThrow(/npm run build/);
  });

  it("comes with the package's version", () => {
    expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+$/);
  });
});
