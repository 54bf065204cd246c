/**
 * Where documents or lines start: a flat file of ascending 64-bit little-endian token positions with the part's end as a
 * last entry. Read an entry at a time, so that a part of any size costs no memory.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { UserError } from "../util/errors.ts";
import { systemError } from "../util/system.ts";

export class Positions {
  /** Starts, the end not counted. */
  readonly count: number;
  readonly #path: string;
  readonly #file: number;
  readonly #bytes = new Uint8Array(8);
  readonly #view = new DataView(this.#bytes.buffer);

  /** @param tokens of the part @throws UserError if the file is missing or is not this part's */
  constructor(path: string, count: number, tokens: number) {
    this.count = count;
    this.#path = path;
    try {
      this.#file = openSync(path, "r");
    } catch (error) {
      throw systemError(error, path);
    }
    if (fstatSync(this.#file).size !== 8 * (count + 1) || this.at(0) !== 0 || this.at(count) !== tokens) {
      this.close();
      throw this.damaged();
    }
  }

  /** The token at which number `index` starts; for `count`, the end. */
  at(index: number): number {
    if (readSync(this.#file, this.#bytes, 0, 8, 8 * index) < 8) throw this.damaged();
    return this.#view.getUint32(4, true) * 2 ** 32 + this.#view.getUint32(0, true);
  }

  /** The number of the last start that is not after this token. */
  holding(token: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.at(middle) <= token) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  damaged(): UserError {
    return new UserError("it is not what data.json says", this.#path, "prepare the data anew");
  }

  close(): void {
    closeSync(this.#file);
  }
}
