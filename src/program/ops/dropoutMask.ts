/**
 * A dropout pattern as a function of (seed, step): key i32 [2] → a tensor of 0 (dropped) and 1/(1 − p) (kept).
 *
 * Element i is kept if the 16-bit word i mod 8 of a Philox block is at least the threshold round(rate · 65536), so
 * p = threshold / 65536 exactly. The block's key is (seed, 0), its counter (⌊i/8⌋, 0, step, the stream's number); word j
 * of it is the low (even j) or high (odd j) half of its 32-bit number ⌊j/2⌋. Not differentiable, and needs none.
 */
import { streamId } from "../../util/random.ts";
import { expectCount, expectIndex, fail } from "../check.ts";
import { type Builder, type Operation, type Shape, size, type Value } from "../graph.ts";

export type DropoutMaskAttributes = {
  readonly shape: readonly number[];
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

export const dropoutMaskOp: Operation<DropoutMaskAttributes> = {
  name: "dropoutMask",
  infer(inputs, attrs) {
    expectCount("dropoutMask", inputs, 1);
    expectIndex("dropoutMask", "the key", inputs[0], 1);
    if (inputs[0].shape[0] !== 2) fail("dropoutMask", `the key is (seed, step), not ${inputs[0].shape[0]} numbers`);
    if (!(attrs.rate >= 0 && dropoutNumbers(attrs).threshold < 65536)) {
      fail("dropoutMask", `the rate can't be ${attrs.rate}`);
    }
    if (size(attrs.shape) > 8 * 2 ** 32)
      fail("dropoutMask", `[${attrs.shape}] has more elements than a counter counts`);
    return [{ dtype: "f32", shape: attrs.shape }];
  },
  flops: () => 0,
};

export function dropoutMask(
  b: Builder,
  key: Value,
  attrs: { readonly shape: Shape; readonly rate: number; readonly stream: string },
): Value {
  const { shape, rate, stream } = attrs;
  return b.apply(dropoutMaskOp, [key], { shape: [...shape], rate, stream })[0];
}
