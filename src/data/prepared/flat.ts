/**
 * Flat little-endian files written and read from start to end through a buffer: tokens of 2 or 4 bytes, positions of 8.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { createFile, type OutputFile } from "../../store/output.ts";

const BUFFER = 2 ** 20;

export class FlatWriter {
  readonly #file: OutputFile;
  readonly #buffer = new Uint8Array(BUFFER);
  readonly #view = new DataView(this.#buffer.buffer);
  #used = 0;

  private constructor(file: OutputFile) {
    this.#file = file;
  }

  /** @param path a file that must not exist yet */
  static async create(path: string): Promise<FlatWriter> {
    return new FlatWriter(await createFile(path));
  }

  /** One 8-byte position. Await the promise, if there is one, before writing on. */
  position(value: number): Promise<void> | undefined {
    this.#view.setUint32(this.#used, value >>> 0, true);
    this.#view.setUint32(this.#used + 4, Math.floor(value / 2 ** 32), true);
    this.#used += 8;
    return this.#used + 8 > BUFFER ? this.#flush() : undefined;
  }

  async bytes(data: Uint8Array): Promise<void> {
    if (this.#used + data.length > BUFFER) await this.#flush();
    if (data.length > BUFFER) {
      await this.#file.write(data);
    } else {
      this.#buffer.set(data, this.#used);
      this.#used += data.length;
    }
  }

  async close(): Promise<void> {
    try {
      await this.#flush();
    } finally {
      await this.#file.close();
    }
  }

  async #flush(): Promise<void> {
    await this.#file.write(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}

export class FlatReader {
  readonly #file: number;
  readonly #buffer = new Uint8Array(BUFFER);
  readonly #view = new DataView(this.#buffer.buffer);
  #start = 0;
  #end = 0;

  constructor(path: string) {
    this.#file = openSync(path, "r");
  }

  /** The next bytes, at most `most` of them, valid until the next call; none at the end. */
  take(most: number): Uint8Array {
    if (this.#start === this.#end) this.#fill();
    const part = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + most));
    this.#start += part.length;
    return part;
  }

  /** The next 8-byte position; undefined at the end. */
  position(): number | undefined {
    // The buffer's size is a multiple of 8, and so is what a file of positions fills of it.
    if (this.#start === this.#end) this.#fill();
    if (this.#start === this.#end) return undefined;
    const low = this.#view.getUint32(this.#start, true);
    const high = this.#view.getUint32(this.#start + 4, true);
    this.#start += 8;
    return high * 2 ** 32 + low;
  }

  close(): void {
    closeSync(this.#file);
  }

  #fill(): void {
    this.#start = 0;
    this.#end = 0;
    while (this.#end < BUFFER) {
      const count = readSync(this.#file, this.#buffer, this.#end, BUFFER - this.#end, null);
      if (count === 0) return;
      this.#end += count;
    }
  }
}
