/**
 * Counter-based random numbers: a number is a cipher of (seed, stream, step, index), never the next state of a
 * generator. So any mask, batch or dropout pattern can be made for any step without the ones before it, on any engine
 * and by any number of threads.
 *
 * Philox 4×32 with 10 rounds (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). The key is the
 * seed (64 bits); the counter is (index low, index high, step, stream).
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the product of two unsigned 32-bit integers. */
function mulHigh(a: number, b: number): number {
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const low = a0 * b0;
  const mid1 = a1 * b0 + (low >>> 16);
  const mid2 = a0 * b1 + (mid1 & 0xffff);
  // mid1 stays below 2^32 and mid2 as well, so the shifts below lose nothing.
  return (a1 * b1 + Math.floor(mid1 / 65536) + Math.floor(mid2 / 65536)) >>> 0;
}

/** One Philox block: four 32-bit words from a 64-bit key and a 128-bit counter, written to `out`. */
export function philox(key0: number, key1: number, c0: number, c1: number, c2: number, c3: number, out: Uint32Array) {
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  let x0 = c0 >>> 0;
  let x1 = c1 >>> 0;
  let x2 = c2 >>> 0;
  let x3 = c3 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(M0, x0);
    const low0 = Math.imul(M0, x0) >>> 0;
    const high1 = mulHigh(M1, x2);
    const low1 = Math.imul(M1, x2) >>> 0;
    x0 = (high1 ^ x1 ^ k0) >>> 0;
    x1 = low1;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x3 = low0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

/** A stream's number: FNV-1a of its name, so that streams are named where they are used and never collide by accident. */
export function streamId(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) {
    hash ^= name.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return hash >>> 0;
}

/** The random numbers of one (seed, stream, step). Index them in any order; the same index always gives the same number. */
export class RandomStream {
  readonly #key0: number;
  readonly #key1: number;
  readonly #step: number;
  readonly #stream: number;
  readonly #block = new Uint32Array(4);
  #blockIndex = -1;

  /** @param seed a whole number from 0 to 2^53 − 1; @param step a whole number below 2^32 */
  constructor(seed: number, stream: string, step = 0) {
    this.#key0 = seed >>> 0;
    this.#key1 = Math.floor(seed / 2 ** 32) >>> 0;
    this.#step = step >>> 0;
    this.#stream = streamId(stream);
  }

  /** Uniform over 0 … 2^32 − 1. */
  uint32(index: number): number {
    const block = Math.floor(index / 4);
    if (block !== this.#blockIndex) {
      philox(this.#key0, this.#key1, block >>> 0, Math.floor(block / 2 ** 32), this.#step, this.#stream, this.#block);
      this.#blockIndex = block;
    }
    return this.#block[index - block * 4];
  }

  /** Uniform over [0, 1), with 32 bits. */
  uniform(index: number): number {
    return this.uint32(index) / 2 ** 32;
  }

  /** Uniform over 0 … n − 1 (bias below n / 2^32). */
  below(n: number, index: number): number {
    return Math.floor(this.uniform(index) * n);
  }

  /** Standard normal (Box–Muller; a pair of indices shares a pair of uniforms). */
  normal(index: number): number {
    const even = index - (index % 2);
    const radius = Math.sqrt(-2 * Math.log((this.uint32(even) + 1) / 2 ** 32));
    const angle = 2 * Math.PI * this.uniform(even + 1);
    return index === even ? radius * Math.cos(angle) : radius * Math.sin(angle);
  }

  /** A permutation of 0 … n − 1 (Fisher–Yates). */
  permutation(n: number): Uint32Array {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1, i);
      const swap = order[i];
      order[i] = order[j];
      order[j] = swap;
    }
    return order;
  }
}
