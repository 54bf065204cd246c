/** Products of matrices. */
import { type Emitter, type Ref, typeOf, typeText } from "../emitter.ts";
import type { Lowerings } from "./lowering.ts";

export const products: Lowerings = {
  // As its expansion: the bias is added before the result is rounded, which a product's own kernel can do.
  linear: (e, { attrs }, [x, w, bias], { halves, rounded }) => {
    const to = halves && rounded && bias === undefined ? "bf16" : "f32";
    const [a, b] = halves ? [e.convert(x, "bf16"), e.convert(w, "bf16")] : [x, w];
    const product = dot(e, a, b, 0, 1, attrs.transposeWeight ? 1 : 0, to);
    return [bias === undefined ? product : e.binary("add", product, bias)];
  },
  matmul: (e, { attrs }, [x, y], { halves, rounded }) => {
    const to = halves && rounded ? "bf16" : "f32";
    const [a, b] = halves ? [e.convert(x, "bf16"), e.convert(y, "bf16")] : [x, y];
    const [tx, ty] = [attrs.transposeX, attrs.transposeY];
    const rank = x.shape.length;
    if (y.shape.length === rank) return [dot(e, a, b, rank - 2, rank - (tx ? 2 : 1), rank - (ty ? 1 : 2), to)];
    // One matrix for all leading axes: its rows are one long matrix, unless x is given transposed.
    const rows = tx ? e.transpose(a, [...Array(rank - 2).keys(), rank - 1, rank - 2]) : a;
    return [dot(e, rows, b, 0, rank - 1, ty ? 1 : 0, to)];
  },
};

/** Over one axis of each, the first `batch` axes side by side; sums are f32 whatever they are rounded to. f32 operands at full precision, where TF32 is at hand too. */
function dot(e: Emitter, x: Ref, y: Ref, batch: number, overX: number, overY: number, to: "f32" | "bf16"): Ref {
  const free = (r: Ref, over: number) => r.shape.filter((_, i) => i >= batch && i !== over);
  const shape = [...x.shape.slice(0, batch), ...free(x, overX), ...free(y, overY)];
  const leading = `[${[...Array(batch).keys()].join(", ")}]`;
  const precision = x.element === "f32" ? "HIGHEST" : "DEFAULT";
  const over = `batching_dims = ${leading} x ${leading}, contracting_dims = [${overX}] x [${overY}]`;
  const types = `(${typeOf(x)}, ${typeOf(y)}) -> ${typeText(to, shape)}`;
  const text = `stablehlo.dot_general ${x.name}, ${y.name}, ${over}, precision = [${precision}, ${precision}] : ${types}`;
  return e.op(text, to, shape);
}
