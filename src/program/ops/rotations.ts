/**
 * The turns of rotary embeddings: for positions 0 … length − 1 and frequencies f_0 … f_(h−1) in radians a position, the
 * cosines and then the sines of position · f_i, [2, length, h], times `scale` (1 but where an extension of the context says
 * otherwise, as YaRN does). Which frequencies is the model's to say: default, linear, llama3, YaRN are lists. Angles are
 * rounded to float32, as every model of transformers was trained with them.
 */
import { expectCount, fail } from "../check.ts";
import type { Builder, Operation, Value } from "../graph.ts";

type Attrs = { readonly length: number; readonly frequencies: readonly number[]; readonly scale: number };

export const rotationsOp: Operation<Attrs> = {
  name: "rotations",
  infer(inputs, { length, frequencies, scale }) {
    expectCount("rotations", inputs, 0);
    if (frequencies.length === 0) fail("rotations", "there is no frequency");
    if (![scale, ...frequencies].every(Number.isFinite)) fail("rotations", "a frequency is not a number");
    return [{ dtype: "f32", shape: [2, length, frequencies.length] }];
  },
  flops: () => 0,
};

const known = new WeakMap<Attrs, Float64Array>();

/** The numbers themselves: what an engine takes as constants. Worked out once for each node. */
export function rotationNumbers(attrs: Attrs): Float64Array {
  const numbers = known.get(attrs) ?? computed(attrs);
  known.set(attrs, numbers);
  return numbers;
}

function computed({ length, frequencies, scale }: Attrs): Float64Array {
  const half = length * frequencies.length;
  return new Float64Array(2 * half).map((_, i) => {
    const at = i % half;
    const angle = Math.fround(Math.floor(at / frequencies.length) * frequencies[at % frequencies.length]);
    return (i < half ? Math.cos(angle) : Math.sin(angle)) * scale;
  });
}

export function rotations(b: Builder, length: number, frequencies: readonly number[], scale = 1): Value {
  return b.apply(rotationsOp, [], { length, frequencies, scale })[0];
}
