/** Programs that use each operation, with numbers to run them on: what the engines' tests and bench/gpu hold engines to. */
import type { Value } from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";
import * as slopes from "../program/slopes.ts";
import type { Bench } from "./compare.ts";

export type Build = (t: Bench) => readonly Value[];

const grown = (t: Bench) => {
  const steps = t.given("steps", [], Float32Array.of(3));
  const clip = t.given("clip", [], Float32Array.of(0.7));
  const rate = t.given("rate", [], Float32Array.of(0.01));
  return { steps, clip, rate };
};
const settings = { beta1: 0.9, beta2: 0.999, eps: 1e-6, decay: 0.01 };

/** By operation: programs that use it, with the tolerance where it is not 1e-6. */
export const cases: Readonly<Record<string, { readonly within?: number; readonly builds: readonly Build[] }>> = {
  add: {
    builds: [
      (t) => [ops.add(t.b, t.real([3, 4]), t.real([4]))],
      (t) => [ops.add(t.b, t.real([2, 1, 3]), t.real([5, 1]))],
    ],
  },
  sub: { builds: [(t) => [ops.sub(t.b, t.real([3, 4]), t.real([3, 1]))]] },
  mul: { builds: [(t) => [ops.mul(t.b, t.real([3, 4]), t.real([]))]] },
  div: { builds: [(t) => [ops.div(t.b, t.real([3, 4]), t.between(0.5, 2, [3, 4]))]] },
  neg: { builds: [(t) => [ops.neg(t.b, t.real([5]))]] },
  exp: { builds: [(t) => [ops.exp(t.b, t.real([300], { std: 3 }))]] },
  log: { builds: [(t) => [ops.log(t.b, t.between(0.01, 9, [300]))]] },
  sqrt: { builds: [(t) => [ops.sqrt(t.b, t.between(0, 9, [300]))]] },
  tanh: { builds: [(t) => [ops.tanh(t.b, t.real([300], { std: 3 }))]] },
  erf: { builds: [(t) => [ops.erf(t.b, t.real([300], { std: 2 }))]] },
  relu: { builds: [(t) => [ops.relu(t.b, t.real([30]))]] },
  recip: { builds: [(t) => [ops.recip(t.b, t.between(0.5, 2, [30]))]] },
  positive: { builds: [(t) => [ops.positive(t.b, t.given("x", [4], Float32Array.of(-1, 0, 1e-30, 2)))]] },
  scale: { builds: [(t) => [ops.scale(t.b, t.real([2, 3]), -1.7)]] },
  constant: {
    builds: [
      (t) => [ops.constant(t.b, 1.25, [2, 3])],
      (t) => [ops.add(t.b, t.real([2, 3]), ops.constant(t.b, 1.25, [2, 3])), ops.constant(t.b, -2)],
    ],
  },
  equal: { builds: [(t) => [ops.equal(t.b, t.ids(3, [5, 1]), t.ids(3, [4]))]] },
  stopGradient: { builds: [(t) => [ops.stopGradient(t.b, t.real([4]))]] },
  matmul: {
    within: 1e-5,
    builds: [
      ...[
        [false, false],
        [false, true],
        [true, false],
        [true, true],
      ].flatMap(([transposeX, transposeY]): Build[] => [
        (t) => [
          ops.matmul(t.b, t.real(transposeX ? [37, 20] : [20, 37]), t.real(transposeY ? [9, 37] : [37, 9]), {
            transposeX,
            transposeY,
          }),
        ],
        (t) => [
          ops.matmul(
            t.b,
            t.real(transposeX ? [2, 3, 17, 5] : [2, 3, 5, 17]),
            t.real(transposeY ? [2, 3, 6, 17] : [2, 3, 17, 6]),
            { transposeX, transposeY },
          ),
        ],
        (t) => [
          ops.matmul(t.b, t.real(transposeX ? [3, 17, 5] : [3, 5, 17]), t.real(transposeY ? [6, 17] : [17, 6]), {
            transposeX,
            transposeY,
          }),
        ],
      ]),
    ],
  },
  reshape: {
    builds: [(t) => [ops.reshape(t.b, t.real([2, 6]), [3, 4])], (t) => [ops.reshape(t.b, t.ids(9, [6]), [6, 1])]],
  },
  transpose: { builds: [(t) => [ops.transpose(t.b, t.real([2, 3, 4, 5]), [0, 2, 1, 3])]] },
  slice: {
    builds: [(t) => [ops.slice(t.b, t.real([4, 5]), 1, 1, 4)], (t) => [ops.slice(t.b, t.ids(9, [7]), 0, 2, 3)]],
  },
  pad: { builds: [(t) => [ops.pad(t.b, t.real([2, 3]), 1, 1, 2)], (t) => [ops.pad(t.b, t.ids(9, [3]), 0, 0, 2)]] },
  concat: { builds: [(t) => [ops.concat(t.b, [t.real([2, 1]), t.real([2, 3])], 1)]] },
  split: {
    builds: [
      (t) => ops.split(t.b, t.real([4, 6]), 1, 3),
      (t) => ops.split(t.b, t.ids(9, [6]), 0, 2),
      // Read where it stands under other extents, changed, and put together again in another order.
      (t) => {
        const [first, second] = ops.split(t.b, t.real([4, 6]), 1, 2).map((part) => ops.reshape(t.b, part, [2, 2, 3]));
        const flat = ops.reshape(t.b, ops.exp(t.b, second), [4, 3]);
        return [ops.concat(t.b, [flat, ops.reshape(t.b, first, [4, 3]), flat], 1)];
      },
    ],
  },
  broadcastTo: { builds: [(t) => [ops.broadcastTo(t.b, t.real([3, 1]), [2, 3, 4])]] },
  reduceSum: {
    within: 1e-5,
    builds: [
      (t) => [ops.reduceSum(t.b, t.real([300, 40]), [0])],
      (t) => [ops.reduceSum(t.b, t.real([40, 300]), [1], true)],
      (t) => [ops.reduceSum(t.b, t.real([4, 5, 6]), [0, 1, 2])],
      (t) => [ops.reduceSum(t.b, t.real([4, 5, 6]), [0])],
      (t) => [ops.reduceSum(t.b, t.real([4, 5, 6]), [0, 1], true)],
      (t) => [ops.reduceSum(t.b, t.real([4, 5, 6]), [1, 2])],
      (t) => [ops.reduceSum(t.b, t.real([4, 5, 6]), [1])],
    ],
  },
  reduceMax: { builds: [(t) => [ops.reduceMax(t.b, t.real([4, 30]), [1], true)]] },
  argmax: { builds: [(t) => [ops.argmax(t.b, t.real([6, 30]))]] },
  gather: {
    builds: [
      (t) => [ops.gather(t.b, t.real([11, 3]), t.ids(11, [20]))],
      (t) => [ops.gather(t.b, t.real([12, 3]), t.given("ids", [6], Int32Array.of(3, 0, 7, 7, 8, 11)), 3)],
    ],
  },
  scatterAdd: {
    builds: [
      (t) => [ops.scatterAdd(t.b, t.given("ids", [6], Int32Array.of(3, 0, 7, 7, 8, 11)), t.real([6, 5]), 12, 3)],
      (t) => [ops.scatterAdd(t.b, t.ids(5, [40]), t.real([40, 6]), 7)],
      // Read by another operation.
      (t) => [ops.neg(t.b, ops.scatterAdd(t.b, t.ids(5, [40]), t.real([40, 6]), 7))],
      // Beside another share of the same gradient.
      (t) => [
        ops.globalNorm(t.b, [ops.add(t.b, t.real([7, 6]), ops.scatterAdd(t.b, t.ids(5, [40]), t.real([40, 6]), 7))]),
      ],
      // A share that a product gave: alone, read by others too, under another shape, wanted itself.
      ...[
        () => [],
        (t: Bench, share: Value) => [ops.scale(t.b, share, 2)],
        (t: Bench, share: Value) => [ops.scale(t.b, ops.reshape(t.b, share, [42]), 2)],
        (_: Bench, share: Value) => [share],
      ].flatMap((others) =>
        [ops.globalNorm, (b: Bench["b"], [sum]: readonly Value[]) => ops.neg(b, sum)].map(
          (reader): Build =>
            (t) => {
              const share = ops.matmul(t.b, t.real([7, 3]), t.real([3, 6]));
              const sum = ops.add(t.b, ops.scatterAdd(t.b, t.ids(5, [40]), t.real([40, 6]), 7), share);
              return [reader(t.b, [sum]), ...others(t, share)];
            },
        ),
      ),
    ],
  },
  oneHot: { builds: [(t) => [ops.oneHot(t.b, t.ids(6, [9]), 6)]] },
  bandBias: {
    builds: [
      (t) => [ops.bandBias(t.b, 4, 4, { before: 4, after: 0 })],
      (t) => [ops.add(t.b, t.real([3, 5]), ops.bandBias(t.b, 3, 5, { before: 5, after: 0 }))],
      (t) => [ops.bandBias(t.b, 4, 6, { before: 2, after: 0 }), ops.bandBias(t.b, 6, 6, { before: 1, after: 2 })],
      (t) => [ops.bandBias(t.b, 3, 3, { before: 3, after: 3 })],
    ],
  },
  rotations: {
    builds: [(t) => [ops.rotations(t.b, 7, [1, 0.1, 0.003], 1.2)], (t) => [ops.rotations(t.b, 300, [1, 0.01])]],
  },
  dropoutMask: {
    within: 0,
    builds: [1, 8, 33, 16384, 16385, 50_001].flatMap((count): Build[] => [
      (t) => [
        ops.dropoutMask(t.b, t.given("key", [2], Int32Array.of(123456789, 42)), {
          shape: [count],
          rate: 0.1,
          stream: `place ${count}`,
        }),
      ],
    ]),
  },
  linear: {
    within: 1e-5,
    builds: [
      (t) => [ops.linear(t.b, t.real([20, 37]), t.real([37, 9]), t.real([9]))],
      (t) => [ops.linear(t.b, t.real([20, 37]), t.real([9, 37]), null, { transposeWeight: true })],
      // Rows of the weight that alias in a cache, which an engine may spread; with what follows the product.
      (t) => {
        const y = ops.linear(t.b, t.real([130, 257]), t.real([257, 3072]), t.real([3072]));
        return [ops.add(t.b, ops.scale(t.b, y, 0.5), t.real([130, 3072]))];
      },
    ],
  },
  softmax: { builds: [(t) => [ops.softmax(t.b, t.real([7, 50], { std: 4 }))]] },
  layerNorm: {
    within: 1e-5,
    builds: [
      (t) => Object.values(ops.layerNorm(t.b, t.real([9, 96]), t.real([96]), t.real([96]), 1e-5)),
      // A mean well away from 0, as residual streams have.
      (t) => Object.values(ops.layerNorm(t.b, t.real([9, 96], { mean: 3 }), t.real([96]), t.real([96]), 1e-12)),
    ],
  },
  layerNormGrad: {
    within: 1e-5,
    builds: [
      { x: true, affine: true },
      { x: true, affine: false },
      { x: false, affine: true },
    ].map(
      (wanted): Build =>
        (t) => {
          const x = t.real([9, 96], { mean: 0.5, std: 2 });
          const gain = t.real([96]);
          const { mean, rstd } = ops.layerNorm(t.b, x, gain, t.real([96]), 1e-5);
          const { dx, dgain, dshift } = slopes.layerNormGrad(t.b, { g: t.real([9, 96]), x, gain, mean, rstd }, wanted);
          return [dx, dgain, dshift].filter((value) => value !== null);
        },
    ),
  },
  gelu: {
    builds: [
      (t) => [ops.gelu(t.b, t.real([500], { std: 3 }), "erf")],
      (t) => [ops.gelu(t.b, t.real([500], { std: 3 }), "tanh")],
    ],
  },
  geluGrad: {
    // Two terms cancel in the tails.
    within: 5e-6,
    builds: [
      (t) => [slopes.geluGrad(t.b, t.real([500]), t.real([500], { std: 3 }), "erf")],
      (t) => [slopes.geluGrad(t.b, t.real([500]), t.real([500], { std: 3 }), "tanh")],
      // Where the density vanishes and its square overflows.
      (t) => [slopes.geluGrad(t.b, t.real([500]), t.real([500], { std: 30 }), "erf")],
    ],
  },
  rmsNorm: {
    within: 1e-5,
    builds: [
      (t) => Object.values(ops.rmsNorm(t.b, t.real([9, 96], { mean: 3 }), t.real([96]), 1e-5)),
      (t) => Object.values(ops.rmsNorm(t.b, t.real([5, 7]), t.real([7]), 1e-6)),
    ],
  },
  rmsNormGrad: {
    within: 1e-5,
    builds: [
      { x: true, gain: true, width: 96 },
      { x: true, gain: false, width: 7 },
      { x: false, gain: true, width: 7 },
    ].map(
      ({ width, ...wanted }): Build =>
        (t) => {
          const x = t.real([9, width], { mean: 0.5, std: 2 });
          const gain = t.real([width]);
          const { rrms } = ops.rmsNorm(t.b, x, gain, 1e-5);
          const { dx, dgain } = slopes.rmsNormGrad(t.b, { g: t.real([9, width]), x, gain, rrms }, wanted);
          return [dx, dgain].filter((value) => value !== null);
        },
    ),
  },
  silu: {
    builds: [(t) => [ops.silu(t.b, t.real([500], { std: 3 }))], (t) => [ops.silu(t.b, t.real([50], { std: 90 }))]],
  },
  siluGrad: {
    within: 5e-6,
    builds: [(t) => [slopes.siluGrad(t.b, t.real([500]), t.real([500], { std: 3 }))]],
  },
  rotary: {
    builds: [3, 4].flatMap((half) =>
      [false, true].map(
        (back): Build =>
          (t) => {
            const turns = ops.rotations(t.b, 5, [1, 0.4, 0.1, 0.01].slice(0, half));
            const x = t.real([2, 5, 3 * 2 * half]);
            // Of a part of something wider too, as a fused projection's queries are.
            const [first] = ops.split(t.b, t.real([10, 12 * half]), 1, 2);
            const part = ops.reshape(t.b, first, [2, 5, 6 * half]);
            return [x, part].map((each) => ops.rotary(t.b, each, turns, { back }));
          },
      ),
    ),
  },
  attention: {
    within: 1e-5,
    builds: [
      (t) => Object.values(attend(t, { causal: false, bias: false, mask: false })),
      (t) => Object.values(attend(t, { causal: true, bias: true, mask: true })),
      (t) => Object.values(attend(t, { causal: false, bias: true, mask: false, apart: true })),
      (t) => Object.values(attend(t, { causal: true, bias: false, mask: true, apart: true })),
      (t) => Object.values(attend(t, { causal: true, bias: true, mask: true, window: 2 })),
      (t) => Object.values(attend(t, { causal: false, bias: false, mask: false, apart: true, window: 1 })),
      ...[1, 2].map(
        (kvHeads): Build =>
          (t) =>
            Object.values(groups(t, kvHeads)),
      ),
    ],
  },
  attentionGrad: {
    within: 1e-5,
    builds: [
      ...[1, 2].flatMap((kvHeads) =>
        [false, true].map(
          (fused): Build =>
            (t) => {
              const { q, k, v, out, probs, pattern } = groups(t, kvHeads, fused);
              const inputs = { g: t.real(q.shape), q, k, v, out, probs, mask: pattern };
              return Object.values(slopes.attentionGrad(t.b, inputs, { heads: 4, kvHeads, scale: 0.4 }));
            },
        ),
      ),
      ...[false, true].map(
        (mask): Build =>
          (t) => {
            const { q, k, v, out, probs, pattern } = attend(t, { causal: true, bias: true, mask });
            const g = t.real([2, 5, 12]);
            const grads = slopes.attentionGrad(
              t.b,
              { g, q, k, v, out, probs, mask: pattern },
              { heads: 3, scale: 0.4 },
            );
            return Object.values(grads);
          },
      ),
    ],
  },
  crossEntropy: {
    within: 1e-5,
    builds: [
      (t) => Object.values(ops.crossEntropy(t.b, t.real([9, 50], { std: 3 }), t.ids(50, [9]), t.between(0, 1, [9]))),
    ],
  },
  crossEntropyGrad: {
    within: 1e-5,
    builds: [
      (t) => {
        const logits = t.real([9, 50], { std: 3 });
        const labels = t.ids(50, [9]);
        const weights = t.between(0, 1, [9]);
        const { logsumexp } = ops.crossEntropy(t.b, logits, labels, weights);
        return [slopes.crossEntropyGrad(t.b, { g: t.real([]), logits, logsumexp, labels, weights })];
      },
    ],
  },
  globalNorm: { builds: [(t) => [ops.globalNorm(t.b, [t.real([40_001]), t.real([3, 5]), t.real([])])]] },
  adamw: {
    builds: [
      (t) => {
        const shape = [3, 11];
        const [param, grad, m] = [t.real(shape), t.real(shape), t.real(shape, { std: 0.1 })];
        return Object.values(ops.adamw(t.b, { param, grad, m, v: t.between(0, 0.1, shape), ...grown(t) }, settings));
      },
      // The first step, where both corrections are near 0.
      (t) => {
        const zeros = ops.constant(t.b, 0, [6]);
        const steps = ops.constant(t.b, 0);
        const rest = { ...grown(t), steps };
        return Object.values(
          ops.adamw(t.b, { param: t.real([6]), grad: t.real([6]), m: zeros, v: zeros, ...rest }, settings),
        );
      },
    ],
  },
};

/** Four heads that share key-value heads. @param fused cut from one projection, so that rows lie further apart */
function groups(t: Bench, kvHeads: number, fused = false) {
  const d = 8;
  const widths = [4 * d, kvHeads * d, kvHeads * d];
  const whole = fused ? t.real([2, 5, 3 * 4 * d]) : undefined;
  const [q, k, v] = widths.map((width, i) =>
    whole === undefined ? t.real([2, 5, width]) : ops.slice(t.b, whole, 2, i * 4 * d, i * 4 * d + width),
  );
  const key = t.given("key", [2], Int32Array.of(5, 6));
  const pattern = ops.dropoutMask(t.b, key, { shape: [2, 4, 5, 5], rate: 0.25, stream: "a" });
  const { out, probs } = ops.attention(t.b, q, k, v, { heads: 4, kvHeads, causal: true, scale: 0.4, mask: pattern });
  return { q, k, v, out, probs, pattern };
}

function attend(t: Bench, form: { causal: boolean; bias: boolean; mask: boolean; apart?: boolean; window?: number }) {
  const { causal, bias, mask, apart, window } = form;
  const [q, k, v] = [t.real([2, 5, 12]), t.real([2, 7, 12]), t.real([2, 7, 12])];
  const hidden = Float32Array.of(0, 0, 0, -1e30, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1e30);
  const key = t.given("key", [2], Int32Array.of(5, 6));
  const pattern = mask ? ops.dropoutMask(t.b, key, { shape: [2, 3, 5, 7], rate: 0.25, stream: "a" }) : undefined;
  const { out, probs } = ops.attention(t.b, q, k, v, {
    heads: 3,
    causal,
    window,
    scale: 0.4,
    bias: bias ? t.given("bias", [2, 7], hidden) : undefined,
    mask: pattern,
    // The last of seven keys is the last of five queries.
    apart: apart
      ? {
          queries: t.given("of queries", [2, 5], Int32Array.of(0, 0, 1, 1, 2, 0, 0, 0, 3, 3)),
          keys: t.given("of keys", [2, 7], Int32Array.of(0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0, 3, 3)),
        }
      : undefined,
  });
  return { q, k, v, out, probs, ...(pattern === undefined ? {} : { pattern }) };
}
