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

export interface AdamwNumbers {
  readonly clip: number;
  readonly beta1: number;
  readonly beta2: number;
  /** 1 − rate · decay. */
  readonly keep: number;
  /** rate / (1 − β1^t). */
  readonly step: number;
  /** 1 / √(1 − β2^t). */
  readonly root: number;
  readonly eps: number;
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

  adamw(p: Operand, g: Operand, m: Operand, v: Operand, n: AdamwNumbers): void {
    const { clip, beta1, beta2, keep, step, root, eps } = n;
    const rest = [clip, beta1, 1 - beta1, beta2, 1 - beta2, keep, step, root, eps];
    this.#pieces("adamw", [p, g, m, v], (kernel, pointers, count) => {
      kernel(...pointers, count, ...rest);
    });
  }

  /** x += y. */
  accumulate(x: Operand, y: Operand): void {
    this.#pieces("accumulate", [x, y], (kernel, pointers, count) => {
      kernel(...pointers, count);
    });
  }

  /** Σ x², in float64. */
  sumSquares(x: Operand): number {
    let sum = 0;
    this.#pieces("sumSquares", [x], (kernel, pointers, count) => {
      sum += kernel(...pointers, count);
    });
    return sum;
  }

  /** A dropout pattern, as the operation dropoutMask defines it. */
  dropoutMask(
    out: Operand,
    numbers: { seed: number; step: number; stream: number; threshold: number; kept: number },
  ): void {
    const { seed, step, stream, threshold, kept } = numbers;
    let first = 0;
    this.#pieces("dropoutMask", [out], (kernel, [pointer], count, stage) => {
      // The kernel writes whole groups of 32 elements; what would pass the end goes by way of the stage.
      const whole = Math.floor(count / 32);
      kernel(pointer, first, whole, seed, step, stream, threshold, kept);
      if (whole * 32 < count) {
        kernel(stage.byteOffset, first + whole * 4, 1, seed, step, stream, threshold, kept);
        const rest = new Float32Array(stage.buffer, pointer + whole * 128, count - whole * 32);
        rest.set(stage.subarray(0, rest.length));
      }
      first += PIECE / 8;
    });
  }

  #pieces(
    name: string,
    operands: readonly Operand[],
    run: (kernel: Kernel, pointers: number[], count: number, stage: Float32Array) => void,
  ): void {
    const block = operands.find((operand) => operand.block !== undefined)?.block ?? this.#own();
    const kernel = this.#kernel(block, name);
    const { buffer } = block.memory;
    const stages = operands.map((_, i) => new Float32Array(buffer, i * PIECE * 4, PIECE));
    const total = operands[0].data.length;
    for (let start = 0; start < total; start += PIECE) {
      const count = Math.min(PIECE, total - start);
      const pointers = operands.map((operand, i) => {
        if (operand.block === block) return operand.data.byteOffset + start * 4;
        stages[i].set(operand.data.subarray(start, start + count));
        return stages[i].byteOffset;
      });
      // The last operand's stage is free where the operand lies in the memory; no kernel with four needs another.
      run(kernel, pointers, count, new Float32Array(buffer, 3 * PIECE * 4, PIECE));
      operands.forEach((operand, i) => {
        if (operand.changed && operand.block !== block) operand.data.set(stages[i].subarray(0, count), start);
      });
    }
  }

  #own(): Block {
    this.#outside ??= new Block(STAGE_BYTES);
    return this.#outside;
  }

  #kernel(block: Block, name: string): Kernel {
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
