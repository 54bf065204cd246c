#!/usr/bin/env node
/** The command line's process: its streams, what nobody caught, its exit code. All else is in run.ts. */
import { report, run } from "./run.ts";

// Whoever read our output has closed it: nothing more can be said, and nothing is wrong.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error) => {
    if (!("code" in error) || error.code !== "EPIPE") throw error;
  });
}
process.on("uncaughtException", (error) => process.exit(report(error)));

// Commands that have something to save watch signals themselves; the others end at once, and take with them what they
// had not finished writing.
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => {
    if (process.listenerCount(signal) === 1) process.exit(code);
  });
}

const code = await run(process.argv.slice(2));
if (code !== 0) process.exitCode = code;
