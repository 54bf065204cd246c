/**
 * A dense layer: x [N, K] · W + bias → [N, M]. The weight is [K, M] (as in a Conv1D of GPT-2) or, with
 * `transposeWeight`, [M, K] (as in a Linear of PyTorch); the bias [M] is optional.
 */
import { expectCount, expectReal, expectShape, fail, gradientOfFirst } from "../check.ts";
import { expansionFlops } from "../composite.ts";
import type { Builder, Operation, Value } from "../graph.ts";
import { add } from "./add.ts";
import { matmul } from "./matmul.ts";
import { reduceSum } from "./reduceSum.ts";

export type LinearOptions = { readonly transposeWeight?: boolean };
type Attrs = { readonly transposeWeight: boolean };

export const linearOp: Operation<Attrs> = {
  name: "linear",
  infer(inputs, { transposeWeight }) {
    expectCount("linear", inputs, 2, 3);
    const [x, w, bias] = inputs;
    expectReal("linear", "x", x, 2);
    expectReal("linear", "the weight", w, 2);
    const [k, m] = transposeWeight ? [w.shape[1], w.shape[0]] : w.shape;
    if (x.shape[1] !== k) fail("linear", `x [${x.shape}] does not fit a weight of ${k} inputs`);
    if (bias !== undefined) expectShape("linear", "the bias", bias, [m]);
    return [{ dtype: "f32", shape: [x.shape[0], m] }];
  },
  gradient(b, node, gradients, { transposeWeight }, wanted) {
    const g = gradientOfFirst("linear", gradients);
    const [x, w] = node.inputs;
    const weight = () =>
      transposeWeight ? matmul(b, g, x, { transposeX: true }) : matmul(b, x, g, { transposeX: true });
    return [
      wanted[0] ? matmul(b, g, w, { transposeY: !transposeWeight }) : null,
      wanted[1] ? weight() : null,
      wanted[2] ? reduceSum(b, g, [0]) : null,
    ];
  },
  flops: (inputs, _outputs, attrs) => expansionFlops(linearOp, inputs, attrs),
  expand(b, [x, w, bias], { transposeWeight }) {
    const product = matmul(b, x, w, { transposeY: transposeWeight });
    return [bias === undefined ? product : add(b, product, bias)];
  },
};

export function linear(b: Builder, x: Value, w: Value, bias: Value | null, options: LinearOptions = {}): Value {
  const inputs = bias === null ? [x, w] : [x, w, bias];
  return b.apply(linearOp, inputs, { transposeWeight: options.transposeWeight ?? false })[0];
}
