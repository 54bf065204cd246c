/** Products of matrices. */
import { type Builder, type Shape, sameShape, size, type Type, type Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { reduceSum, reshape, transpose } from "./axes.ts";
import { add } from "./elementwise.ts";

export type MatmulOptions = { readonly transposeX?: boolean; readonly transposeY?: boolean };
type Turned = Required<MatmulOptions>;

/**
 * The matrix product over the last two axes: [..., m, k] · [..., k, n] → [..., m, n]. Either operand may be given
 * transposed ([..., k, m], [..., n, k]). The leading axes are the same, or y is one matrix for all of them.
 */
export const matmulOp = operation<Turned>(
  "matmul",
  (inputs, attrs) => {
    const found = extents(inputs, attrs);
    return typeof found === "string" ? found : [{ dtype: "f32", shape: [...found.leading, found.m, found.n] }];
  },
  {
    gradient(b, [g], { inputs: [x, y], attrs: { transposeX, transposeY } }, wanted) {
      const shared = y.shape.length === 2 && x.shape.length > 2;
      return [
        wanted[0] ? gradientX(b, g, y, transposeX, transposeY, shared) : null,
        wanted[1] ? gradientY(b, g, x, transposeX, transposeY, shared) : null,
      ];
    },
    flops([x], [{ shape }], { transposeX }) {
      return 2 * size(shape) * (x.shape.at(transposeX ? -2 : -1) ?? 1);
    },
  },
);

export function matmul(b: Builder, x: Value, y: Value, options: MatmulOptions = {}): Value {
  const attrs = { transposeX: options.transposeX ?? false, transposeY: options.transposeY ?? false };
  return b.apply(matmulOp, [x, y], attrs)[0];
}

function extents(inputs: readonly Type[], attrs: Turned): { leading: Shape; m: number; n: number } | string {
  if (inputs.length !== 2) return `takes 2 inputs, not ${inputs.length}`;
  const [x, y] = inputs;
  if (x.dtype !== "f32" || y.dtype !== "f32") return `x and y must be f32, not ${x.dtype} and ${y.dtype}`;
  if (x.shape.length < 2 || y.shape.length < 2) return `[${x.shape}] and [${y.shape}] must be matrices`;
  const leading = x.shape.slice(0, -2);
  const turn = (shape: Shape, turned: boolean) => (turned ? shape.slice(-2).reverse() : shape.slice(-2));
  const [m, k] = turn(x.shape, attrs.transposeX);
  const [ky, n] = turn(y.shape, attrs.transposeY);
  const fits = y.shape.length === 2 || sameShape(leading, y.shape.slice(0, -2));
  if (k === ky && fits) return { leading, m, n };
  const [ofX, ofY] = [attrs.transposeX, attrs.transposeY].map((turned) => (turned ? " transposed" : ""));
  return `[${x.shape}]${ofX} and [${y.shape}]${ofY} do not fit`;
}

/** With Z = X·Y: dX = G·Yᵀ; where X was given transposed, that is given transposed: Y·Gᵀ. */
function gradientX(b: Builder, g: Value, y: Value, tx: boolean, ty: boolean, shared: boolean): Value {
  if (!tx) return matmul(b, g, y, { transposeY: !ty });
  if (!shared) return matmul(b, y, g, { transposeX: ty, transposeY: true });
  const rank = g.shape.length;
  const swapped = [...g.shape.keys()].slice(0, -2).concat(rank - 1, rank - 2);
  return transpose(b, matmul(b, g, y, { transposeY: !ty }), swapped);
}

/** dY = Xᵀ·G; where Y was given transposed: Gᵀ·X. A shared Y gets the sum over the leading axes. */
function gradientY(b: Builder, g: Value, x: Value, tx: boolean, ty: boolean, shared: boolean): Value {
  const product = (x: Value, g: Value) =>
    ty ? matmul(b, g, x, { transposeX: true, transposeY: tx }) : matmul(b, x, g, { transposeX: !tx });
  if (!shared) return product(x, g);
  if (tx) return reduceSum(b, product(x, g), [...x.shape.keys()].slice(0, -2));
  // Rows of all leading axes are one long matrix, so the sum is part of the product.
  const rows = (value: Value) =>
    reshape(b, value, [size(value.shape.slice(0, -1)), value.shape[value.shape.length - 1]]);
  return product(rows(x), rows(g));
}

export type LinearOptions = { readonly transposeWeight?: boolean };

/**
 * A dense layer: x [N, K] · W + bias → [N, M]. The weight is [K, M] (as in a Conv1D of GPT-2) or, with
 * `transposeWeight`, [M, K] (as in a Linear of PyTorch); the bias [M] is optional.
 */
export const linearOp = operation<Required<LinearOptions>>(
  "linear",
  takes(({ transposeWeight }) => ["x [n, k], weight", transposeWeight ? "[m, k]" : "[k, m]", "bias? [m] -> [n, m]"]),
  {
    gradient(b, [g], { inputs: [x, w], attrs: { transposeWeight } }, wanted) {
      const weight = () =>
        transposeWeight ? matmul(b, g, x, { transposeX: true }) : matmul(b, x, g, { transposeX: true });
      return [
        wanted[0] ? matmul(b, g, w, { transposeY: !transposeWeight }) : null,
        wanted[1] ? weight() : null,
        wanted[2] ? reduceSum(b, g, [0]) : null,
      ];
    },
    expand(b, [x, w, bias], { transposeWeight }) {
      const product = matmul(b, x, w, { transposeY: transposeWeight });
      return [bias === undefined ? product : add(b, product, bias)];
    },
  },
);

export function linear(b: Builder, x: Value, w: Value, bias: Value | null, options: LinearOptions = {}): Value {
  const inputs = bias === null ? [x, w] : [x, w, bias];
  return b.apply(linearOp, inputs, { transposeWeight: options.transposeWeight ?? false })[0];
}
