/**
 * The order of the sequences in an epoch: a permutation of 0 … n − 1 of which any single place can be asked for, so
 * that nothing is stored and no place depends on those before it.
 *
 * A Feistel network over a × b ≥ n with rounds of modular addition (Black and Rogaway, "Ciphers with Arbitrary Finite
 * Domains", CT-RSA 2002), keyed by the counter-based cipher of (seed, epoch); what lands at n or above is sent through
 * again until it falls below (cycle walking: hardly ever needed, since a·b − n < a).
 */
import { RandomStream } from "../util/random.ts";

const ROUNDS = 8;

export class EpochOrder {
  readonly #n: number;
  readonly #a: number;
  readonly #b: number;
  readonly #random: RandomStream;

  /** @param n how many sequences an epoch has, at least 1 */
  constructor(n: number, seed: number, epoch: number) {
    this.#n = n;
    this.#a = Math.ceil(Math.sqrt(n));
    this.#b = Math.ceil(n / this.#a);
    this.#random = new RandomStream(seed, "epoch order", epoch);
  }

  /** The sequence at a place of the epoch. @param place 0 … n − 1 */
  at(place: number): number {
    let value = place;
    do value = this.#once(value);
    while (value >= this.#n);
    return value;
  }

  #once(value: number): number {
    const a = this.#a;
    const b = this.#b;
    let left = Math.floor(value / b);
    let right = value % b;
    for (let round = 0; round < ROUNDS; round++) {
      if (round % 2 === 0) left = (left + this.#random.below(a, round * (a + b) + right)) % a;
      else right = (right + this.#random.below(b, round * (a + b) + left)) % b;
    }
    return left * b + right;
  }
}
