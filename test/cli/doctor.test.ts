import { expect, test } from "vitest";
import { cli } from "../support.ts";

test("doctor names every engine and the one that is chosen", () => {
  const { code, stdout } = cli(["doctor", "--json"]);
  expect(code).toBe(0);
  const found: { chosen: string; engines: { kind: string; usable: boolean }[] } = JSON.parse(stdout);
  expect(found.engines.map(({ kind }) => kind)).toEqual(["onednn", "onnx", "xla", "reference"]);
  // By name only: looking for it starts Python.
  expect(found.chosen).toBe(found.engines.find(({ usable, kind }) => usable && kind !== "xla")?.kind);
});

test("a library that is missing or is something else is said, with the way out, and another engine is chosen", () => {
  for (const [path, reason] of [
    ["/nowhere/libdnnl.so", "nowhere"],
    ["libm.so.6", "it is not oneDNN"],
  ]) {
    const { code, stdout } = cli(["doctor"], { env: { BERT2BERT_ONEDNN: path } });
    expect(code).toBe(0);
    expect(stdout).toMatch(/onednn\s+missing/);
    expect(stdout).toContain(reason);
    expect(stdout).toContain("hint: onednn: install oneDNN");
    expect(stdout).toMatch(/onnx\s+chosen/);
  }
});

test("a Python without JAX is said, with the way to one", () => {
  const { code, stdout } = cli(["doctor"], { env: { BERT2BERT_XLA_PYTHON: "/nowhere/python" } });
  expect(code).toBe(0);
  expect(stdout).toMatch(/xla\s+missing\s+\/nowhere\/python: can't be started/);
  expect(stdout).toContain("hint: xla: `npm run setup:xla`");
});
