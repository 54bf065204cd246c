/** How far two runs are apart. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { openModel } from "../../../src/model/load.ts";

/** The losses of all steps, and those of the evaluations. */
export function losses(out: string): { readonly steps: number[]; readonly evaluations: number[] } {
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return {
    steps: lines.filter(({ loss }) => loss !== undefined).map(({ loss }) => Number(loss)),
    evaluations: lines.flatMap(({ evaluation }) => (evaluation === undefined ? [] : [Number(evaluation.loss)])),
  };
}

/** The largest difference between two curves, as a share. */
export function apart(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]) / b[i]));
}

/** The largest difference between two runs' weights, over the largest weight: a key's bias, which does nothing, is 0 but for rounding. */
export async function weightsApart(a: string, b: string): Promise<number> {
  const [mine, theirs] = await Promise.all([a, b].map((out) => openModel(join(out, "model"))));
  let [difference, largest] = [0, 0];
  for (const { name } of theirs.model.parameters) {
    const [actual, expected] = [await mine.weights.readF32(name), await theirs.weights.readF32(name)];
    expected.forEach((weight, i) => {
      largest = Math.max(largest, Math.abs(weight));
      difference = Math.max(difference, Math.abs(actual[i] - weight));
    });
  }
  await mine.close();
  await theirs.close();
  return difference / largest;
}
