/** Dropout: x times a pattern that is a function of (seed, step). */
import { streamId } from "../../util/random.ts";
import { type Builder, type Shape, size, type Value } from "../graph.ts";
import { operation } from "../operation.ts";
import { mul } from "./elementwise.ts";

export type DropoutMaskAttributes = {
  readonly shape: Shape;
  /** The share to drop, from 0 to below 1. */
  readonly rate: number;
  /** Names the place in the network, so that each has a pattern of its own. */
  readonly stream: string;
};

/** What an engine needs of the attributes: the threshold, what a kept element is worth, and the stream's number. */
export function dropoutNumbers({ rate, stream }: DropoutMaskAttributes): {
  threshold: number;
  kept: number;
  stream: number;
} {
  const threshold = Math.round(rate * 65536);
  return { threshold, kept: 65536 / (65536 - threshold), stream: streamId(stream) };
}

/**
 * A pattern: key i32 [2], (seed, step) → a tensor of 0 (dropped) and 1/(1 − p) (kept).
 *
 * Element i is kept if the 16-bit word i mod 8 of a Philox block is at least the threshold round(rate · 65536), so
 * p = threshold / 65536 exactly. The block's key is (seed, 0), its counter (⌊i/8⌋, 0, step, the stream's number); word j
 * of it is the low (even j) or high (odd j) half of its 32-bit number ⌊j/2⌋. Not differentiable, and needs none.
 */
export const dropoutMaskOp = operation<DropoutMaskAttributes>("dropoutMask", (inputs, attrs) => {
  const [key] = inputs;
  const isKey = inputs.length === 1 && key.dtype === "i32" && String(key.shape) === "2";
  if (!isKey) return "takes a key i32 [2], (seed, step)";
  if (!(attrs.rate >= 0 && dropoutNumbers(attrs).threshold < 65536)) return `the rate can't be ${attrs.rate}`;
  if (size(attrs.shape) > 8 * 2 ** 32) return `[${attrs.shape}] has more elements than a counter counts`;
  return [{ dtype: "f32", shape: attrs.shape }];
});

export function dropoutMask(b: Builder, key: Value, { shape, rate, stream }: DropoutMaskAttributes): Value {
  return b.apply(dropoutMaskOp, [key], { shape: [...shape], rate, stream })[0];
}

/** x itself where the rate is 0. @param key i32 [2], (seed, step) @param stream names the place in the network */
export function dropout(b: Builder, x: Value, key: Value, rate: number, stream: string): Value {
  return rate === 0 ? x : mul(b, x, dropoutMask(b, key, { shape: x.shape, rate, stream }));
}
