/**
 * The matrix product over the last two axes: [..., m, k] · [..., k, n] → [..., m, n]. Either operand may be given
 * transposed ([..., k, m], [..., n, k]). The leading axes are the same, or y is one matrix for all of them.
 */
import { expectCount, expectReal, fail, gradientOfFirst } from "../check.ts";
import { type Builder, type Operation, type Shape, sameShape, size, type Type, type Value } from "../graph.ts";
import { reduceSum } from "./reduceSum.ts";
import { reshape } from "./reshape.ts";
import { transpose } from "./transpose.ts";

export type MatmulOptions = { readonly transposeX?: boolean; readonly transposeY?: boolean };
type Attrs = { readonly transposeX: boolean; readonly transposeY: boolean };

export const matmulOp: Operation<Attrs> = {
  name: "matmul",
  infer(inputs, attrs) {
    const { leading, m, n } = extents(inputs, attrs);
    return [{ dtype: "f32", shape: [...leading, m, n] }];
  },
  gradient(b, node, gradients, { transposeX, transposeY }, wanted) {
    const g = gradientOfFirst("matmul", gradients);
    const [x, y] = node.inputs;
    const shared = y.shape.length === 2 && x.shape.length > 2;
    return [
      wanted[0] ? gradientX(b, g, y, transposeX, transposeY, shared) : null,
      wanted[1] ? gradientY(b, g, x, transposeX, transposeY, shared) : null,
    ];
  },
  flops(inputs, _outputs, attrs) {
    const { leading, m, n, k } = extents(inputs, attrs);
    return 2 * size(leading) * m * n * k;
  },
};

export function matmul(b: Builder, x: Value, y: Value, options: MatmulOptions = {}): Value {
  const attrs = { transposeX: options.transposeX ?? false, transposeY: options.transposeY ?? false };
  return b.apply(matmulOp, [x, y], attrs)[0];
}

function extents(inputs: readonly Type[], attrs: Attrs): { leading: Shape; m: number; n: number; k: number } {
  expectCount("matmul", inputs, 2);
  const [x, y] = inputs;
  expectReal("matmul", "x", x);
  expectReal("matmul", "y", y);
  if (x.shape.length < 2 || y.shape.length < 2) fail("matmul", `[${x.shape}] and [${y.shape}] must be matrices`);
  const leading = x.shape.slice(0, -2);
  const [a0, a1] = x.shape.slice(-2);
  const [b0, b1] = y.shape.slice(-2);
  const [m, k] = attrs.transposeX ? [a1, a0] : [a0, a1];
  const [ky, n] = attrs.transposeY ? [b1, b0] : [b0, b1];
  const fits = y.shape.length === 2 || sameShape(leading, y.shape.slice(0, -2));
  if (k !== ky || !fits) {
    fail(
      "matmul",
      `[${x.shape}]${attrs.transposeX ? " transposed" : ""} and [${y.shape}]${attrs.transposeY ? " transposed" : ""} do not fit`,
    );
  }
  return { leading, m, n, k };
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
