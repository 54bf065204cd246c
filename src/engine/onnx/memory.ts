/**
 * Room for tensors in WebAssembly memories: kernels work on it in place and onnxruntime reads it without a copy (it
 * refuses shared memory). A memory can't pass 4 GiB, so there are several, each of a fixed size: none grows, so no view
 * is ever detached. Pages that nothing was written to take no room in RAM.
 */
import type { DType, Shape } from "../../program/graph.ts";
import { size } from "../../program/graph.ts";
import type { TensorData } from "../engine.ts";

const PAGE = 65536;
/** Bytes of one memory, unless a tensor needs more. */
const BLOCK = 2 ** 29;
/** A cache line. */
const ALIGNMENT = 64;
/** Bytes at the start of each memory that belong to the kernels. */
export const STAGE_BYTES = 2 ** 18;

/** A stretch of a memory. */
interface Range {
  readonly start: number;
  readonly end: number;
}

export class Block {
  readonly memory: WebAssembly.Memory;
  /** In order, none adjacent to another. */
  #free: Range[];

  constructor(bytes: number) {
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
    this.#free = [{ start: STAGE_BYTES, end: this.memory.buffer.byteLength }];
  }

  /** The first stretch that is long enough; undefined if there is none. */
  take(bytes: number): number | undefined {
    const at = this.#free.findIndex(({ start, end }) => end - start >= bytes);
    if (at < 0) return undefined;
    const { start, end } = this.#free[at];
    this.#free.splice(at, 1, ...(end - start > bytes ? [{ start: start + bytes, end }] : []));
    return start;
  }

  give(start: number, bytes: number): void {
    const merged: Range[] = [];
    for (const range of [...this.#free, { start, end: start + bytes }].sort((a, b) => a.start - b.start)) {
      const last = merged[merged.length - 1];
      if (last !== undefined && last.end === range.start) merged[merged.length - 1] = { ...last, end: range.end };
      else merged.push(range);
    }
    this.#free = merged;
  }

  /** Nothing lies in it. */
  get empty(): boolean {
    return (
      this.#free.length === 1 && this.#free[0].end - this.#free[0].start === this.memory.buffer.byteLength - STAGE_BYTES
    );
  }
}

/** A tensor in a memory. */
export interface Held {
  readonly dtype: DType;
  readonly data: TensorData;
  readonly block: Block;
}

export class Arena {
  #blocks: Block[] = [];

  /** Room for a tensor; what is in it is not defined. */
  allocate(dtype: DType, shape: Shape): Held {
    const count = size(shape);
    const bytes = padded(count);
    for (const block of this.#blocks) {
      const start = block.take(bytes);
      if (start !== undefined) return held(block, start, dtype, shape);
    }
    const block = new Block(Math.max(BLOCK, bytes + STAGE_BYTES));
    this.#blocks.push(block);
    return held(block, block.take(bytes) ?? STAGE_BYTES, dtype, shape);
  }

  release({ block, data }: Held): void {
    block.give(data.byteOffset, padded(data.length));
    if (block.empty) this.#blocks = this.#blocks.filter((other) => other !== block);
  }
}

function padded(count: number): number {
  return Math.ceil((count * 4) / ALIGNMENT) * ALIGNMENT;
}

function held(block: Block, start: number, dtype: DType, shape: Shape): Held {
  const { buffer } = block.memory;
  const count = size(shape);
  const data = dtype === "f32" ? new Float32Array(buffer, start, count) : new Int32Array(buffer, start, count);
  return { dtype, data, block };
}
