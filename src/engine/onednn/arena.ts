/**
 * The memory of the engine: one WebAssembly.Memory, seen by our kernels as offsets and by oneDNN as addresses.
 *
 * It is shared between threads and reserves its maximum when made, so it grows without moving. What lives between runs
 * is placed from the bottom upward, freed room reused; the scratch region of the programs, of which one runs at a time,
 * lies above a mark that moves up when states need more.
 */
const PAGE = 65536;
/** 32-bit WebAssembly addresses end at 4 GiB. */
const MAXIMUM_PAGES = 65536;
/** What the memory keeps of the address space from the start. */
export const RESERVED_BYTES = MAXIMUM_PAGES * PAGE;
/** Offset 0 means "none" to the kernels, and the first page holds their constant tables (logarithms, powers). */
const START = PAGE;

export class Arena {
  readonly memory = new WebAssembly.Memory({ initial: 16, maximum: MAXIMUM_PAGES, shared: true });
  readonly #free: { offset: number; bytes: number }[] = [];
  #top = START;

  /** Room for a tensor that lives between runs. @throws if the memory is full */
  allocate(bytes: number): number {
    const need = Math.max(64, Math.ceil(bytes / 64) * 64);
    const at = this.#free.findIndex((hole) => hole.bytes >= need);
    if (at >= 0) {
      const hole = this.#free[at];
      if (hole.bytes === need) this.#free.splice(at, 1);
      else this.#free[at] = { offset: hole.offset + need, bytes: hole.bytes - need };
      return hole.offset;
    }
    const offset = this.#top;
    this.#top += need;
    this.ensure(this.#top);
    return offset;
  }

  release(offset: number, bytes: number): void {
    this.#free.push({ offset, bytes: Math.max(64, Math.ceil(bytes / 64) * 64) });
    this.#free.sort((a, b) => a.offset - b.offset);
    for (let i = this.#free.length - 1; i > 0; i--) {
      const below = this.#free[i - 1];
      if (below.offset + below.bytes !== this.#free[i].offset) continue;
      this.#free.splice(i - 1, 2, { offset: below.offset, bytes: below.bytes + this.#free[i].bytes });
    }
    const last = this.#free.at(-1);
    if (last !== undefined && last.offset + last.bytes === this.#top) {
      this.#top = last.offset;
      this.#free.pop();
    }
  }

  /** Where the scratch region starts now. */
  get top(): number {
    return this.#top;
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
