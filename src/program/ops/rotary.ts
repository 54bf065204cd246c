/**
 * Rotary position embedding (Su et al., RoFormer, 2021) of queries or keys: x [B, T, D], heads of 2h units side by side
 * along D, each pair of units i and i + h of a head turned by its position's angle: (a, b) → (a·cos − b·sin, b·cos + a·sin)
 * with the cosines and sines [2, T, h] of `rotations`. The halves are paired as transformers' `rotate_half` has it. Turned back
 * (`back`), it is its own gradient.
 */
import { expectCount, expectReal, expectShape, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { concat } from "./concat.ts";
import { mul } from "./mul.ts";
import { reshape } from "./reshape.ts";
import { split } from "./split.ts";
import { sub } from "./sub.ts";

type Attrs = { readonly back: boolean };

export const rotaryOp: Operation<Attrs> = {
  name: "rotary",
  infer(inputs) {
    expectCount("rotary", inputs, 2);
    const [x, turns] = inputs;
    expectReal("rotary", "x", x, 3);
    expectReal("rotary", "the turns", turns, 3);
    const [, length, width] = x.shape;
    const half = turns.shape[2];
    expectShape("rotary", "the turns", turns, [2, length, half]);
    if (width % (2 * half) !== 0) fail("rotary", `a width of ${width} is not whole heads of ${2 * half}`);
    return [{ dtype: "f32", shape: x.shape }];
  },
  gradient(b, node, gradients, { back }, wanted) {
    if (wanted[1]) fail("rotary", "only x is differentiable");
    return [rotary(b, gradientOfFirst("rotary", gradients), node.inputs[1], { back: !back }), null];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(rotaryOp, inputs, attrs),
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
};

export function rotary(b: Builder, x: Value, turns: Value, options: { readonly back?: boolean } = {}): Value {
  return b.apply(rotaryOp, [x, turns], { back: options.back ?? false })[0];
}
