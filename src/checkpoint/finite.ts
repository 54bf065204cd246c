/**
 * Whether numbers are finite: each writer of weights asks it of each number. Where they lie in PageMemory, as those of a
 * growth do, a kernel looks at them in place (kernels/finite.ts), in a small part of the time that it takes here.
 */
import { readFileSync } from "node:fs";
import { memoryOf } from "../store/direct.ts";
import { packageRoot } from "../util/paths.ts";

/** How many of the numbers are NaN or infinite: those whose exponent is all ones. */
export function countNotFinite(data: Float32Array): number {
  const memory = memoryOf(data.buffer);
  if (memory !== undefined && kernelOf(memory)(data.byteOffset, data.length) === 0) return 0;
  const bits = new Int32Array(data.buffer, data.byteOffset, data.length);
  let count = 0;
  for (let i = 0; i < bits.length; i++) if ((bits[i] & 0x7f800000) === 0x7f800000) count++;
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
