/**
 * Bad input, as a user meets it: a table of cases, each a command line and what it must say. The tables are the source
 * of docs/errors.md as well, so that no message stands there that nothing gives.
 *
 * A command line is refused when it ends with exit code 2, one sentence and a hint, no result, no stack trace, and
 * every file and folder as it was.
 */
import { createHash } from "node:crypto";
import { cpSync, lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { run } from "../../../src/cli/run.ts";
import { type CliResult, fixture, temporaryFolder } from "../../support.ts";
import { writeData } from "../../train/data.ts";

export interface Case {
  /** What is wrong. */
  readonly name: string;
  /** Makes the files; the words of the command line. */
  words(folder: string): readonly string[] | Promise<readonly string[]>;
  /** The sentence, with <words in brackets> for what differs from case to case. */
  readonly says: string;
  /** The hint, likewise. */
  readonly hint: string;
  /** For docs/errors.md: how one comes to see it. */
  readonly cause: string;
  /** A run that had begun: it leaves its folder. */
  readonly leaves?: readonly string[];
}

/** A theme of docs/errors.md. */
export interface Group {
  readonly title: string;
  readonly cases: readonly Case[];
}

/** Runs a command line in this process. */
export async function inProcess(words: readonly string[]): Promise<CliResult> {
  const written = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((chunk) => {
      written[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
      return true;
    }),
  );
  try {
    const code = await run(words);
    return { code, ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** A template as a pattern for a whole line. */
export function pattern(template: string): RegExp {
  const parts = template.split(/<[a-z][a-z ]*>/);
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".+")}$`);
}

/** Tests that each case is refused in the words it should be. */
export function testRefusals(
  cases: readonly Case[],
  start: (words: readonly string[], folder: string) => CliResult | Promise<CliResult> = inProcess,
): void {
  it.each(cases)("$name", async ({ words, says, hint, leaves = [] }) => {
    const folder = temporaryFolder();
    const given = await words(folder);
    const before = contents(folder);
    const { code, stdout, stderr } = await start(given, folder);
    const lines = stderr.trimEnd().split("\n");
    expect(lines.at(-2), stderr).toMatch(pattern(`error: ${says}`));
    expect(lines.at(-1), stderr).toMatch(pattern(`hint: ${hint}`));
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).not.toMatch(/^ {4}at /m);
    // The names that things have while they are written mean nothing to anybody.
    expect(stderr).not.toMatch(/\.part\b/);
    expect(contents(folder).filter((line) => !leaves.some((name) => line.startsWith(name)))).toEqual(before);
  });
}

/** Everything below a folder: names, kinds, links, and what files hold. */
export function contents(folder: string, below = ""): string[] {
  return readdirSync(join(folder, below))
    .sort()
    .flatMap((entry) => {
      const name = join(below, entry);
      const path = join(folder, name);
      const info = lstatSync(path);
      if (info.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`];
      if (info.isDirectory()) return [`${name}/`, ...contents(folder, name)];
      const hash =
        info.isFile() && info.size < 2 ** 24 ? createHash("md5").update(readFileSync(path)).digest("hex") : "";
      return [`${name} ${info.size} ${hash}`];
    });
}

/** A copy of a fixture's model folder. @returns its path */
export function model(folder: string, kind = "bert-tiny", name = "model"): string {
  const path = join(folder, name);
  cpSync(fixture(kind), path, { recursive: true });
  return path;
}

/** Changes some keys of a JSON file; undefined takes one out. */
export function change(path: string, keys: Readonly<Record<string, unknown>>): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...keys }));
}

/** A model folder whose weights are other bytes. @returns its path */
export function withWeights(folder: string, bytes: Uint8Array): string {
  const path = model(folder);
  writeFileSync(join(path, "model.safetensors"), bytes);
  return path;
}

/** The parts of a safetensors file. */
export function takeApart(bytes: Uint8Array): { header: Record<string, Entry>; data: Uint8Array } {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  return { header, data: bytes.subarray(8 + length) };
}

export interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** A safetensors file from its parts. */
export function putTogether(header: object, data: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** Writes a run of a small BERT on small data. @param lines replace or add to RUN.yaml's @returns RUN.yaml's path */
export async function runFile(
  folder: string,
  lines: Readonly<Record<string, string>> = {},
  config: object = smallBert,
): Promise<string> {
  await writeData(join(folder, "data"));
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const all: Record<string, string> = {
    out: "out",
    model: "{init: config.json}",
    data: "{from: data}",
    objective: "mlm",
    batch: "{sequences: 4}",
    steps: "4",
    engine: "{kind: onnx, threads: 1}",
    ...lines,
  };
  const path = join(folder, "run.yaml");
  writeFileSync(
    path,
    Object.entries(all)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(""),
  );
  return path;
}

export const smallBert = {
  model_type: "bert",
  architectures: ["BertForMaskedLM"],
  vocab_size: 40,
  hidden_size: 16,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 16,
};
