/**
 * Room for tensors in WebAssembly memories: kernels work on it in place and onnxruntime reads it without a copy (it
 * refuses shared memory). A memory can't pass 4 GiB, so there are several, each of a fixed size: none grows, so no view
 * is ever detached. Pages that nothing was written to take no room in RAM.
 */
import type { DType, Shape } from "../../program/graph.ts";
import { size } from "../../program/graph.ts";
import type { TensorData } from "../engine.ts";
import { padded, Room } from "../room.ts";

const PAGE = 65536;
/** Bytes of one memory, unless a tensor needs more. */
const BLOCK = 2 ** 29;
/** Bytes at the start of each memory that belong to the kernels. */
export const STAGE_BYTES = 2 ** 18;

export class Block {
  readonly memory: WebAssembly.Memory;
  readonly room: Room;

  constructor(bytes: number) {
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
    this.room = new Room(STAGE_BYTES, this.memory.buffer.byteLength);
  }

  /** Nothing lies in it. */
  get empty(): boolean {
    const { start, end } = this.room.last ?? { start: 0, end: 0 };
    return start === STAGE_BYTES && end === this.memory.buffer.byteLength;
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
    const bytes = padded(4 * size(shape));
    for (const block of this.#blocks) {
      const start = block.room.take(bytes);
      if (start !== undefined) return held(block, start, dtype, shape);
    }
    const block = new Block(Math.max(BLOCK, bytes + STAGE_BYTES));
    this.#blocks.push(block);
    return held(block, block.room.take(bytes) ?? STAGE_BYTES, dtype, shape);
  }

  release({ block, data }: Held): void {
    block.room.give(data.byteOffset, padded(data.byteLength));
    if (block.empty) this.#blocks = this.#blocks.filter((other) => other !== block);
  }
}

function held(block: Block, start: number, dtype: DType, shape: Shape): Held {
  const { buffer } = block.memory;
  const count = size(shape);
  const data = dtype === "f32" ? new Float32Array(buffer, start, count) : new Int32Array(buffer, start, count);
  return { dtype, data, block };
}
