/**
 * A permutation of 0 … n − 1 of which any single place can be asked for: nothing is stored, and no place depends on
 * those before it. The order of an epoch's sequences; which documents are held out.
 *
 * A Feistel network over a × b ≥ n with rounds of modular addition (Black and Rogaway, "Ciphers with Arbitrary Finite
 * Domains", CT-RSA 2002), keyed by a counter-based cipher; what lands at n or above is sent through
 * again until it falls below (cycle walking: hardly ever needed, since a·b − n < a).
 */
import type { RandomStream } from "../../util/random.ts";

const ROUNDS = 8;

/**
 * What stands at a place, 0 … n − 1.
 * @param n at least 1; @param random whatever it was seeded with, the permutation is a function of
 */
export function permutation(n: number, random: RandomStream): (place: number) => number {
  const a = Math.ceil(Math.sqrt(n));
  const b = Math.ceil(n / a);
  const once = (value: number) => {
    let left = Math.floor(value / b);
    let right = value % b;
    for (let round = 0; round < ROUNDS; round++) {
      if (round % 2 === 0) left = (left + random.below(a, round * (a + b) + right)) % a;
      else right = (right + random.below(b, round * (a + b) + left)) % b;
    }
    return left * b + right;
  };
  return (place) => {
    let value = place;
    do value = once(value);
    while (value >= n);
    return value;
  };
}
