/** Normalisations of rows, each with its gradients. */
import type { Builder, Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { reduceSum, reshape } from "./axes.ts";
import { add, mul, recip, scale, sqrt, sub } from "./elementwise.ts";
import { constant } from "./tables.ts";

type Eps = { readonly eps: number };

const positive = (_extents: unknown, { eps }: Eps) => !(eps >= 0) && `eps can't be ${eps}`;
/** Of each row of [N, D]: [N, 1]. */
const average = (b: Builder, x: Value) => scale(b, reduceSum(b, x, [1], true), 1 / x.shape[1]);
const column = (b: Builder, x: Value) => reshape(b, x, [x.shape[0], 1]);
/** 1/√(x + eps) */
const rootOf = (b: Builder, x: Value, eps: number) => recip(b, sqrt(b, add(b, x, constant(b, eps))));

/**
 * Layer normalisation (Ba et al. 2016) of each row: x [N, D] → y = (x − mean) · rstd · gain + shift, with the rows'
 * means [N] and reciprocal standard deviations [N], 1/√(variance + eps), saved for the backward pass.
 */
export const layerNormOp = operation<Eps>(
  "layerNorm",
  takes("x [rows, width], gain [width], shift [width] -> [rows, width], [rows], [rows]", positive),
  {
    gradient(b, [g], { inputs: [x, gain], outputs: [, mean, rstd] }, wanted) {
      const affine = wanted[1] || wanted[2];
      const made = [...b.apply(layerNormGradOp, [g, x, gain, mean, rstd], { x: wanted[0], affine })];
      const dx = wanted[0] ? made.splice(0, 1)[0] : null;
      return [dx, ...made.map((slope, i) => (wanted[i + 1] ? slope : null))];
    },
    expand(b, [x, gain, shift], { eps }) {
      const mean = average(b, x);
      const centred = sub(b, x, mean);
      const rstd = rootOf(b, average(b, mul(b, centred, centred)), eps);
      const y = add(b, mul(b, mul(b, centred, rstd), gain), shift);
      return [y, reshape(b, mean, [x.shape[0]]), reshape(b, rstd, [x.shape[0]])];
    },
  },
);

export function layerNorm(
  b: Builder,
  x: Value,
  gain: Value,
  shift: Value,
  eps: number,
): Readonly<Record<"y" | "mean" | "rstd", Value>> {
  const [y, mean, rstd] = b.apply(layerNormOp, [x, gain, shift], { eps });
  return { y, mean, rstd };
}

type Wanted<K extends string> = { readonly [of in K]: boolean };

/**
 * The gradients of a layer normalisation from g [N, D], x [N, D], the gain [D] and the saved mean and rstd [N].
 * With x̂ = (x − mean)·rstd and h = g·gain, averages over a row:
 *   dx = rstd · (h − avg(h) − x̂ · avg(h·x̂)),  dgain = Σ_rows g·x̂,  dshift = Σ_rows g.
 * Only what is asked for is an output: dx [N, D] first, then dgain and dshift [D].
 */
export const layerNormGradOp = operation<Wanted<"x" | "affine">>(
  "layerNormGrad",
  takes(
    ({ x, affine }) => [
      "g [rows, width], x [rows, width], gain [width], mean [rows], rstd [rows] ->",
      x && "[rows, width]",
      affine && "[width], [width]",
    ],
    (_extents, attrs) => !attrs.x && !attrs.affine && "nothing is asked for",
  ),
  {
    expand(b, [g, x, gain, mean, rstd], attrs) {
      const normal = mul(b, sub(b, x, column(b, mean)), column(b, rstd));
      const outputs: Value[] = [];
      if (attrs.x) {
        const h = mul(b, g, gain);
        const inner = sub(b, sub(b, h, average(b, h)), mul(b, normal, average(b, mul(b, h, normal))));
        outputs.push(mul(b, inner, column(b, rstd)));
      }
      if (attrs.affine) outputs.push(reduceSum(b, mul(b, g, normal), [0]), reduceSum(b, g, [0]));
      return outputs;
    },
  },
);

/**
 * Root-mean-square normalisation (Zhang and Sennrich 2019) of each row: x [N, D] → y = x · rrms · gain, with the rows'
 * reciprocal roots [N], 1/√(mean(x²) + eps), saved for the backward pass. Llama's norm.
 */
export const rmsNormOp = operation<Eps>(
  "rmsNorm",
  takes("x [rows, width], gain [width] -> [rows, width], [rows]", positive),
  {
    gradient(b, [g], { inputs: [x, gain], outputs: [, rrms] }, wanted) {
      const made = b.apply(rmsNormGradOp, [g, x, gain, rrms], { x: wanted[0], gain: wanted[1] });
      return wanted[0] ? made : [null, ...made];
    },
    expand(b, [x, gain], { eps }) {
      const rrms = rootOf(b, average(b, mul(b, x, x)), eps);
      return [mul(b, mul(b, x, rrms), gain), reshape(b, rrms, [x.shape[0]])];
    },
  },
);

export function rmsNorm(b: Builder, x: Value, gain: Value, eps: number): Readonly<Record<"y" | "rrms", Value>> {
  const [y, rrms] = b.apply(rmsNormOp, [x, gain], { eps });
  return { y, rrms };
}

/**
 * The gradients of a root-mean-square normalisation from g [N, D], x [N, D], the gain [D] and the saved rrms [N]. With
 * x̂ = x·rrms and h = g·gain, averages over a row:
 *   dx = rrms · (h − x̂ · avg(h·x̂)),  dgain = Σ_rows g·x̂.
 * Only what is asked for is an output: dx [N, D] first, then dgain [D].
 */
export const rmsNormGradOp = operation<Wanted<"x" | "gain">>(
  "rmsNormGrad",
  takes(
    ({ x, gain }) => [
      "g [rows, width], x [rows, width], gain [width], rrms [rows] ->",
      x && "[rows, width]",
      gain && "[width]",
    ],
    (_extents, attrs) => !attrs.x && !attrs.gain && "nothing is asked for",
  ),
  {
    expand(b, [g, x, gain, rrms], attrs) {
      const root = column(b, rrms);
      const normal = mul(b, x, root);
      const outputs: Value[] = [];
      if (attrs.x) {
        const h = mul(b, g, gain);
        outputs.push(mul(b, sub(b, h, mul(b, normal, average(b, mul(b, h, normal)))), root));
      }
      if (attrs.gain) outputs.push(reduceSum(b, mul(b, g, normal), [0]));
      return outputs;
    },
  },
);
