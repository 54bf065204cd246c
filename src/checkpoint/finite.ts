/**
 * Whether numbers are finite: each writer of weights asks it of each number. Where they lie in PageMemory, as those of a
 * growth do, a kernel looks at them in place (kernels/finite.ts), in a sixth of the time that it takes here.
 */
import { readFileSync } from "node:fs";
import { memoryOf } from "../store/direct.ts";
import { packageRoot } from "../util/paths.ts";

/** The bits of infinity, the exponent's, in float32. */
const EXPONENT = 0x7f800000;

/** Whether none of the numbers is NaN or infinite. */
export function allFinite(data: Float32Array): boolean {
  const memory = memoryOf(data.buffer);
  if (memory !== undefined) return kernelOf(memory)(data.byteOffset, data.length) === 0;
  const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
  const blocks = bits.length & ~3;
  // A sum reaches the sign where the exponent is all ones. Four at a time: one would wait for the other.
  let [a, b, c, d] = [0, 0, 0, 0];
  for (let i = 0; i < blocks; i += 4) {
    a |= (bits[i] & 0x7fffffff) + 0x800000;
    b |= (bits[i + 1] & 0x7fffffff) + 0x800000;
    c |= (bits[i + 2] & 0x7fffffff) + 0x800000;
    d |= (bits[i + 3] & 0x7fffffff) + 0x800000;
  }
  for (let i = blocks; i < bits.length; i++) a |= (bits[i] & 0x7fffffff) + 0x800000;
  return (a | b | c | d) >= 0;
}

/** How many of the numbers are NaN or infinite. */
export function countNotFinite(data: Float32Array): number {
  if (allFinite(data)) return 0;
  let count = 0;
  for (const bits of new Uint32Array(data.buffer, data.byteOffset, data.length)) {
    if ((bits & EXPONENT) === EXPONENT) count++;
  }
  return count;
}

type Kernel = (x: number, n: number) => number;

let module: WebAssembly.Module | undefined;
const kernels = new WeakMap<WebAssembly.Memory, Kernel>();

function kernelOf(memory: WebAssembly.Memory): Kernel {
  const known = kernels.get(memory);
  if (known !== undefined) return known;
  module ??= new WebAssembly.Module(readFileSync(`${packageRoot()}dist/checkpoint/finite.wasm`));
  const { anyNotFinite } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  if (typeof anyNotFinite !== "function") throw new TypeError("dist/checkpoint/finite.wasm lacks its function");
  const kernel = (x: number, n: number) => Number(anyNotFinite(x, n));
  kernels.set(memory, kernel);
  return kernel;
}
