/**
 * Where documents or lines start: a flat file of ascending 64-bit little-endian token positions with the part's end as a
 * last entry. Read through once when opened, when every page's first entry is kept and the order checked; then a page at a
 * time, so that a part of any size costs little memory and a look-up a read or none.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../../util/errors.ts";
import { systemError } from "../../util/system.ts";

/** Entries of a page. */
const PAGE = 512;
/** Pages held. */
const KEPT = 64;

export class Positions {
  /** Starts, the end not counted. */
  readonly count: number;
  readonly #path: string;
  readonly #file: number;
  /** The first entry of each page. */
  readonly #firsts: Float64Array;
  readonly #pages = new Map<number, Float64Array>();

  /** @param tokens of the part @throws UserError if the file is missing or is not this part's */
  constructor(path: string, count: number, tokens: number) {
    this.count = count;
    this.#path = path;
    this.#firsts = new Float64Array(Math.ceil((count + 1) / PAGE));
    try {
      this.#file = openSync(path, "r");
    } catch (error) {
      throw systemError(error, path);
    }
    try {
      if (fstatSync(this.#file).size !== 8 * (count + 1)) throw this.damaged();
      let last = -1;
      for (let page = 0; page < this.#firsts.length; page++) {
        const entries = this.#read(page);
        this.#firsts[page] = entries[0];
        for (const entry of entries) {
          if (!(entry > last)) throw this.damaged();
          last = entry;
        }
      }
      if (this.#firsts[0] !== 0 || last !== tokens) throw this.damaged();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The token at which number `index` starts; for `count`, the end. */
  at(index: number): number {
    return this.#page(Math.floor(index / PAGE))[index % PAGE];
  }

  /** The number of the last start that is not after this token. */
  holding(token: number): number {
    const page = lastNotAfter(this.#firsts, token);
    return page * PAGE + lastNotAfter(this.#page(page), token);
  }

  damaged(): UserError {
    return new UserError("it is not what data.json says", this.#path, "prepare the data anew");
  }

  close(): void {
    closeSync(this.#file);
  }

  #page(page: number): Float64Array {
    const known = this.#pages.get(page);
    if (known !== undefined) return known;
    if (this.#pages.size >= KEPT) this.#pages.clear();
    const entries = this.#read(page);
    this.#pages.set(page, entries);
    return entries;
  }

  #read(page: number): Float64Array {
    const entries = new Float64Array(Math.min(PAGE, this.count + 1 - page * PAGE));
    const bytes = new Uint8Array(8 * entries.length);
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(this.#file, bytes, done, bytes.length - done, 8 * PAGE * page + done);
      if (count === 0) throw this.damaged();
      done += count;
    }
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < entries.length; i++) {
      entries[i] = view.getUint32(8 * i + 4, true) * 2 ** 32 + view.getUint32(8 * i, true);
    }
    return entries;
  }
}

/** The index of the last of ascending values that is not above this one; the first if all are. */
function lastNotAfter(values: Float64Array, value: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (values[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}
