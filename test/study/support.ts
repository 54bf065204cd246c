/** Studies that take seconds: prepared data of a toy language, a GPT-2 of 2 layers, 16 wide, grown to 24. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gpt2Config, writeData } from "../train/data.ts";

export const studyYaml = (methods: string, more = "") => `
title: A toy
out: out
data: {from: data}
source: {config: source.json}
target: {hidden: 24}
budget: {steps: 24}
objective: clm
batch: {sequences: 4}
optimizer: {lr: 1e-2, dropout: 0}
evaluate: {every: 4, sequences: 16}
checkpoint: {every: 4}
log: {every: 5}
engine: {kind: onnx, threads: 1}
${more}
methods:
${methods}`;

/** Writes data, the source's config and STUDY.yaml. @returns the path of STUDY.yaml */
export async function writeStudy(folder: string, yaml: string): Promise<string> {
  await writeData(join(folder, "data"));
  writeFileSync(join(folder, "source.json"), JSON.stringify({ ...gpt2Config, n_layer: 2 }));
  const path = join(folder, "study.yaml");
  writeFileSync(path, yaml);
  return path;
}

/** The records of a study by name, without what the clock and the place say. */
export function records(folder: string): Record<string, unknown> {
  const names = readdirSync(folder).filter((name) => name.startsWith("run-"));
  return Object.fromEntries(
    names.sort().map((name) => [name, timeless(JSON.parse(readFileSync(join(folder, name), "utf8")))]),
  );
}

/** A value without the keys that hold times. */
export function timeless(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(timeless);
  if (typeof value !== "object" || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => key !== "seconds" && key !== "time" && key !== "joules");
  return Object.fromEntries(kept.map(([key, inner]) => [key, timeless(inner)]));
}
