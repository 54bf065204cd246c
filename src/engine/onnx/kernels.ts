/**
 * The WASM SIMD kernels (kernels/) on tensors wherever they are. A kernel sees one memory: tensors in another, or
 * outside all, pass through a stage in pieces small enough for the second-level cache.
 */
import { readFileSync } from "node:fs";
import { packageRoot } from "../../util/paths.ts";
import { Block, STAGE_BYTES } from "./memory.ts";

type Kernel = (...numbers: number[]) => number;

/** A tensor that a kernel reads or changes. */
export interface Operand {
  readonly data: Float32Array;
  /** The memory that it lies in, if it does. */
  readonly block?: Block;
  readonly changed?: boolean;
}

/** Elements a piece, for four operands in the stage. Sums are taken piece by piece, so it decides their last bits. */
const PIECE = STAGE_BYTES / 4 / 4;

export class Kernels {
  readonly #module: WebAssembly.Module;
  readonly #instances = new WeakMap<Block, Readonly<Record<string, unknown>>>();
  /** For tensors that lie in no memory at all. */
  #outside: Block | undefined;

  constructor() {
    this.#module = new WebAssembly.Module(readFileSync(`${packageRoot()}dist/engine/kernels.wasm`));
  }

  /** Calls a kernel with the operands, a piece at a time, how many elements that is, and the numbers. @returns the sum of what it gives */
  pieces(name: string, operands: readonly Operand[], ...numbers: readonly number[]): number {
    const block = operands.find((operand) => operand.block !== undefined)?.block ?? this.#own();
    const kernel = this.of(block, name);
    const stages = operands.map((_, i) => new Float32Array(block.memory.buffer, i * PIECE * 4, PIECE));
    const total = operands[0].data.length;
    let sum = 0;
    for (let start = 0; start < total; start += PIECE) {
      const count = Math.min(PIECE, total - start);
      const pointers = operands.map((operand, i) => {
        if (operand.block === block) return operand.data.byteOffset + start * 4;
        stages[i].set(operand.data.subarray(start, start + count));
        return stages[i].byteOffset;
      });
      sum += kernel(...pointers, count, ...numbers);
      operands.forEach((operand, i) => {
        if (operand.changed && operand.block !== block) operand.data.set(stages[i].subarray(0, count), start);
      });
    }
    return sum;
  }

  #own(): Block {
    this.#outside ??= new Block(STAGE_BYTES);
    return this.#outside;
  }

  /** A kernel on all of a memory. */
  of(block: Block, name: string): Kernel {
    let exported = this.#instances.get(block);
    if (exported === undefined) {
      exported = new WebAssembly.Instance(this.#module, { env: { memory: block.memory } }).exports;
      this.#instances.set(block, exported);
    }
    const kernel = exported[name];
    if (typeof kernel !== "function") throw new Error(`the kernels lack ${name}`);
    return (...numbers) => Number(kernel(...numbers));
  }
}
