import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // The examples import the package by its name, as its users do.
  resolve: { alias: { bert2bert: fileURLToPath(new URL("src/index.ts", import.meta.url)) } },
  test: {
    include: ["test/**/*.test.ts"],
    // No time limit in a test: a slow machine is not a defect. This only ends what hangs.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    pool: "forks",
    maxWorkers: 2,
    // Where there is a JAX: XLA's CPU compiler takes 10 s for a small model's step, half of that without optimising, and
    // nothing for one it has seen.
    env: {
      // No test asks the Hub but those that bring one of their own.
      HF_HUB_OFFLINE: "1",
      XLA_FLAGS: process.env.XLA_FLAGS ?? "--xla_backend_optimization_level=0",
      JAX_COMPILATION_CACHE_DIR: process.env.JAX_COMPILATION_CACHE_DIR ?? join(tmpdir(), "bert2bert-test-xla"),
    },
  },
});
