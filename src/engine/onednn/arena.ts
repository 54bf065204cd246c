/**
 * The memory of the engine: one WebAssembly.Memory, seen by our kernels as offsets and by oneDNN as addresses.
 *
 * It is shared between threads and reserves its maximum when made, so it grows without moving. What lives between runs
 * is placed from the bottom upward, freed room reused; the scratch region of the programs, of which one runs at a time,
 * lies above a mark that moves up when states need more.
 */
import { padded, Room } from "../room.ts";

const PAGE = 65536;
/** 32-bit WebAssembly addresses end at 4 GiB. */
const MAXIMUM_PAGES = 65536;
/** What the memory keeps of the address space from the start. */
export const RESERVED_BYTES = MAXIMUM_PAGES * PAGE;
/** Offset 0 means "none" to the kernels, and the first page holds their constant tables (logarithms, powers). */
const START = PAGE;

export class Arena {
  readonly memory = new WebAssembly.Memory({ initial: 16, maximum: MAXIMUM_PAGES, shared: true });
  /** It goes on for ever: where it can't, `ensure` says so. */
  readonly #room = new Room(START, Number.MAX_SAFE_INTEGER);

  /** Room for a tensor that lives between runs. @throws if the memory is full */
  allocate(bytes: number): number {
    const offset = this.#room.take(padded(bytes)) ?? 0;
    this.ensure(offset + padded(bytes));
    return offset;
  }

  release(offset: number, bytes: number): void {
    this.#room.give(offset, padded(bytes));
  }

  /** Where the scratch region starts now. */
  get top(): number {
    return this.#room.last?.start ?? START;
  }

  /** @throws if the memory can't be that large */
  ensure(bytes: number): void {
    const pages = Math.ceil(bytes / PAGE);
    const have = this.memory.buffer.byteLength / PAGE;
    if (pages <= have) return;
    if (pages > MAXIMUM_PAGES) {
      throw new Error(`the oneDNN engine needs ${(bytes / 2 ** 30).toFixed(1)} GiB of one memory that ends at 4 GiB`);
    }
    this.memory.grow(pages - have);
  }
}
