/**
 * Large files past the system's page cache (Linux, O_DIRECT): the disk takes the bytes from where they are, which saves
 * the processor a copy of each, keeps what others have in the cache, and has no backlog that the last sync must wait for.
 *
 * The system asks that memory, length and place in the file are whole blocks. So who makes the bytes puts them at an
 * address that lies in its page as the place lies in its block (`PageMemory`), and the file writes the whole blocks
 * among them directly and what is left over at both ends as usual.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { errorCode } from "../util/system.ts";

/** Bytes; no disk asks for larger blocks, and no processor has smaller pages. */
export const BLOCK = 4096;

/** Buffers that begin with a page, and the memories they are of. */
const paged = new WeakMap<ArrayBufferLike, WebAssembly.Memory>();

/** The WebAssembly memory that a buffer of PageMemory is of, for kernels that work on it in place. */
export function memoryOf(buffer: ArrayBufferLike): WebAssembly.Memory | undefined {
  return paged.get(buffer);
}

/** A piece of memory, shared between threads, that begins with a page; where the system gives none, with any address. */
export class PageMemory {
  readonly #buffer: ArrayBufferLike;
  /** Bytes. */
  readonly length: number;

  /** @param length bytes */
  constructor(length: number) {
    this.length = length;
    // A view at any place in a block.
    const bytes = length + BLOCK;
    const pages = Math.ceil(bytes / 65536);
    try {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
      this.#buffer = memory.buffer;
      paged.set(this.#buffer, memory);
    } catch {
      // It takes much of the address space, which may be limited.
      this.#buffer = new SharedArrayBuffer(bytes);
    }
  }

  /** Memory for `count` numbers that will stand in a file from byte `position`. */
  numbers(count: number, position: number): Float32Array {
    // Where they begin between two addresses that a number may have, they are not written directly.
    return new Float32Array(this.#buffer, (position % BLOCK) & ~3, count);
  }
}

/** How many bytes of `data`, bound for `position`, stand before the first whole block, and how many in whole blocks. */
export function wholeBlocks(data: Uint8Array, position: number): { before: number; whole: number } {
  if (!paged.has(data.buffer) || data.byteOffset % BLOCK !== position % BLOCK) return { before: 0, whole: 0 };
  const before = (BLOCK - (position % BLOCK)) % BLOCK;
  return { before, whole: Math.max(0, data.byteLength - before - ((data.byteLength - before) % BLOCK)) };
}

/** Opens a file that is there to be written directly; undefined where the system or the disk can't. */
export async function openDirect(path: string): Promise<FileHandle | undefined> {
  if (constants.O_DIRECT === undefined) return undefined;
  try {
    return await open(path, constants.O_WRONLY | constants.O_DIRECT);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/** Whether the system does not do this kind of writing here. */
export function isRefusal(error: unknown): boolean {
  return errorCode(error) === "EINVAL" || errorCode(error) === "ENOTSUP";
}
