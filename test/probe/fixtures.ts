/** Comparing what a probe computed with what transformers computed. */
import { toFloat32 } from "../../src/checkpoint/dtype.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { ProbeTensor } from "../../src/probe/probe.ts";

/** All tensors of a safetensors file, in float32. */
export async function readTensors(path: string): Promise<ReadonlyMap<string, ProbeTensor>> {
  const file = await openSafetensors(path);
  const tensors = new Map<string, ProbeTensor>();
  for (const { name, shape, dtype } of file.tensors.values()) {
    tensors.set(name, { shape, data: toFloat32(await file.read(name), dtype) });
  }
  await file.close();
  return tensors;
}

/** The largest difference, over the largest expected value. */
export function largestDifference(found: Float32Array, expected: Float32Array): number {
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(found[i] - expected[i]));
    largest = Math.max(largest, Math.abs(expected[i]));
  }
  return found.length === expected.length && !found.some(Number.isNaN) ? difference / largest : Number.NaN;
}

export function norm(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}

/** The norm of the difference over the norm of what is expected. */
export function relativeNorm(found: Float32Array, expected: Float32Array): number {
  return norm(found.map((value, i) => value - expected[i])) / norm(expected);
}

/**
 * What is out of tolerance, in words: forward values by the largest value (2e-5), the loss relatively (1e-6),
 * gradients by norm (1e-4; a key's bias, which the softmax does not see, by its own norm, 1e-6).
 */
export function disagreements(
  found: ReadonlyMap<string, ProbeTensor>,
  expected: ReadonlyMap<string, ProbeTensor>,
): string[] {
  const wrong: string[] = [];
  const note = (name: string, value: number, limit: number) => {
    if (!(value <= limit)) wrong.push(`${name}: ${value.toExponential(2)} > ${limit}`);
  };
  for (const [name, { shape, data }] of expected) {
    if (name.startsWith("step3/")) continue;
    const mine = found.get(name);
    if (mine === undefined || mine.shape.join() !== shape.join())
      wrong.push(`${name}: [${mine?.shape}], not [${shape}]`);
    else if (name === "loss") note(name, Math.abs(mine.data[0] / data[0] - 1), 1e-6);
    else if (!name.startsWith("grad/")) note(name, largestDifference(mine.data, data), 2e-5);
    else if (/\.(key|k_lin)\.bias$/.test(name)) note(name, norm(mine.data), 1e-6);
    else if (/c_attn\.bias$/.test(name)) {
      const third = data.length / 3;
      note(`${name} of keys`, norm(mine.data.subarray(third, 2 * third)), 1e-6);
      note(name, relativeNorm(mine.data, data), 1e-4);
    } else note(name, relativeNorm(mine.data, data), 1e-4);
  }
  return wrong;
}
