/**
 * Reads a growth's source for its recipes: remembers the tensors read last, which the next slice and the next target
 * layer read again, and reads into the same few pieces of memory over and over. Fresh memory for each tensor would have
 * to be zeroed by the system and found again by the garbage collector: of growing BERT-base by AKI a third of the time.
 */
import type { TensorSource } from "./recipe.ts";

type Read = (name: string, start: number, count: number, into: ArrayBuffer | undefined) => Promise<Float32Array>;

interface Held {
  readonly key: string;
  readonly values: Promise<Float32Array>;
}

/** Whole tensors that stay in memory between two fills: AKI reads two layers for one. */
const kept = 2;

export class Reader implements TensorSource {
  readonly #read: Read;
  /** The one read longest ago first. */
  #held: Held[] = [];
  #free: ArrayBuffer[] = [];

  constructor(read: Read) {
    this.#read = read;
  }

  read(name: string, start: number, count: number): Promise<Float32Array> {
    const key = `${start} ${count} ${name}`;
    const found = this.#held.find((held) => held.key === key);
    const values = found?.values ?? this.#read(name, start, count, this.#take(count * 4));
    this.#held = [...this.#held.filter((held) => held !== found), { key, values }];
    return values;
  }

  /** Between two fills: what was read is no longer looked at, but for the last tensors, which may be asked for again. */
  async release(): Promise<void> {
    const gone = this.#held.slice(0, -kept);
    this.#held = this.#held.slice(-kept);
    for (const { values } of gone) {
      const { buffer } = await values;
      if (buffer instanceof ArrayBuffer) this.#free.push(buffer);
    }
  }

  /** The smallest free piece that is large enough, else new memory in place of the free ones, which are too small. */
  #take(bytes: number): ArrayBuffer {
    let best = -1;
    for (const [i, { byteLength }] of this.#free.entries()) {
      if (byteLength >= bytes && (best < 0 || byteLength < this.#free[best].byteLength)) best = i;
    }
    if (best >= 0) return this.#free.splice(best, 1)[0];
    this.#free.shift();
    return new ArrayBuffer(bytes);
  }
}
