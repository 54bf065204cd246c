/** Dropout: x times a mask that is a function of (seed, step). No operation of its own: a mask and a product. */
import type { Builder, Value } from "./graph.ts";
import { dropoutMask } from "./ops/dropoutMask.ts";
import { mul } from "./ops/mul.ts";

/** x itself where the rate is 0. @param key i32 [2], (seed, step) @param stream names the place in the network */
export function dropout(b: Builder, x: Value, key: Value, rate: number, stream: string): Value {
  return rate === 0 ? x : mul(b, x, dropoutMask(b, key, { shape: x.shape, rate, stream }));
}
