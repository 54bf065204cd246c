/** Rotary position embedding (Su et al., RoFormer, 2021). */
import type { Builder, Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { reshape } from "./axes.ts";
import { add, mul, sub } from "./elementwise.ts";
import { concat, split } from "./parts.ts";

/**
 * Queries or keys turned: x [B, T, D], heads of 2h units side by side along D, each pair of units i and i + h of a head
 * turned by its position's angle: (a, b) → (a·cos − b·sin, b·cos + a·sin) with the cosines and sines [2, T, h] of
 * `rotations`. The halves are paired as transformers' `rotate_half` has it. Turned back (`back`), it is its own gradient.
 */
export const rotaryOp = operation<{ readonly back: boolean }>(
  "rotary",
  takes("x [batch, length, width], turns [2, length, half] -> [batch, length, width]", ({ width, half }) => {
    return width % (2 * half) !== 0 && `a width of ${width} is not whole heads of ${2 * half}`;
  }),
  {
    gradient: (b, [g], { inputs: [, turns], attrs: { back } }) => [rotary(b, g, turns, { back: !back })],
    expand(b, [x, turns], { back }) {
      const [batch, length, width] = x.shape;
      const half = turns.shape[2];
      const heads = width / (2 * half);
      const [c, s] = split(b, turns, 0, 2).map((part) => reshape(b, part, [1, length, 1, 1, half]));
      const [first, second] = split(b, reshape(b, x, [batch, length, heads, 2, half]), 3, 2);
      const [plus, minus] = back ? [sub, add] : [add, sub];
      const turned = [minus(b, mul(b, first, c), mul(b, second, s)), plus(b, mul(b, second, c), mul(b, first, s))];
      return [reshape(b, concat(b, turned, 3), [batch, length, width])];
    },
  },
);

export function rotary(b: Builder, x: Value, turns: Value, options: { readonly back?: boolean } = {}): Value {
  return b.apply(rotaryOp, [x, turns], { back: options.back ?? false })[0];
}

type Turns = { readonly length: number; readonly frequencies: readonly number[]; readonly scale: number };

/**
 * The turns: for positions 0 … length − 1 and frequencies f_0 … f_(h−1) in radians a position, the cosines and then the
 * sines of position · f_i, [2, length, h], times `scale` (1 but where an extension of the context says otherwise, as YaRN
 * does). Which frequencies is the model's to say: default, linear, llama3, YaRN are lists. Angles are rounded to float32, as
 * every model of transformers was trained with them.
 */
export const rotationsOp = operation<Turns>("rotations", (inputs, { length, frequencies, scale }) => {
  if (inputs.length > 0) return `takes 0 inputs, not ${inputs.length}`;
  if (frequencies.length === 0) return "there is no frequency";
  if (![scale, ...frequencies].every(Number.isFinite)) return "a frequency is not a number";
  return [{ dtype: "f32", shape: [2, length, frequencies.length] }];
});

const known = new WeakMap<Turns, Float64Array>();

/** The numbers themselves: what an engine takes as constants. Worked out once for each node. */
export function rotationNumbers(attrs: Turns): Float64Array {
  const numbers = known.get(attrs) ?? computed(attrs);
  known.set(attrs, numbers);
  return numbers;
}

function computed({ length, frequencies, scale }: Turns): Float64Array {
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
