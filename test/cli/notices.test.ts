/** What is said beside the results: once, in a line of its own, and nothing that ends up an orphan. */
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { note, Progress } from "../../src/cli/output.ts";
import { openEngine } from "../../src/engine/engines.ts";
import { cli, fixture, temporaryFolder } from "../support.ts";

it("a missing engine is one line, once a process", async () => {
  vi.stubEnv("BERT2BERT_ONEDNN", "/nowhere/libdnnl.so");
  const notes: string[] = [];
  for (let i = 0; i < 2; i++) {
    const engine = await openEngine({ kind: "auto", threads: 1, precision: "auto" }, (text) => notes.push(text));
    await engine.close();
  }
  vi.unstubAllEnvs();
  expect(notes.filter((text) => text.startsWith("engine: "))).toHaveLength(2);
  const missing = notes.filter((text) => text.includes("can't run here"));
  expect(missing).toHaveLength(1);
  expect(missing[0]).not.toContain("\n");
});

it("something that is soon done shows no progress where there is no terminal", () => {
  const words = ["grow", fixture("bert-tiny"), join(temporaryFolder(), "out"), "--layers", "4", "--method", "fpi"];
  const { code, stderr } = cli(words);
  expect(code, stderr).toBe(0);
  expect(stderr).not.toContain("%");
});

it("a notice takes the place of a line of progress, whoever shows it", () => {
  const written: string[] = [];
  vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(String(text)) > 0);
  const isTTY = process.stderr.isTTY;
  process.stderr.isTTY = true;
  try {
    const progress = new Progress();
    progress.update(() => "growing: 0 %");
    note("error: no room");
    progress.end();
  } finally {
    process.stderr.isTTY = isTTY;
    vi.restoreAllMocks();
  }
  // The line is wiped before the notice, and not once more after it.
  expect(written.join("")).toBe("\r\x1b[2Kgrowing: 0 %\r\x1b[2Kerror: no room\n");
});
