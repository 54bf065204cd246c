/** Layer normalisation, as its expansions but with a pass over the rows less each. */
import type { Emitter, Ref } from "../emitter.ts";
import type { Lowerings } from "./lowering.ts";

export const norms: Lowerings = {
  layerNorm: (e, { attrs }, [given, gain, shift]) => {
    const x = e.convert(given, "f32");
    const mean = average(e, x);
    const centred = e.binary("subtract", x, column(e, mean, x));
    const squares = (value: Ref) => average(e, e.binary("multiply", value, value));
    // E[x²] − mean² loses less than a sixtieth of what rounding x to bf16 has lost.
    const variance =
      given.element === "bf16"
        ? e.binary("maximum", e.binary("subtract", squares(x), e.binary("multiply", mean, mean)), e.constant(0, "f32"))
        : squares(centred);
    const root = e.unary("stablehlo.sqrt", e.binary("add", variance, e.constant(attrs.eps, "f32")));
    const rstd = e.binary("divide", e.constant(1, "f32"), root, root.shape);
    const normal = e.binary("multiply", centred, column(e, rstd, x));
    return [e.binary("add", e.binary("multiply", normal, gain), shift), mean, rstd];
  },
  layerNormGrad: (e, { attrs }, [g, x, gain, mean, rstd], { halves }) => {
    const normal = e.binary("multiply", e.binary("subtract", x, column(e, mean, x)), column(e, rstd, x));
    const h = e.binary("multiply", g, gain);
    const along = e.binary("multiply", normal, column(e, average(e, e.binary("multiply", h, normal)), x));
    const inner = e.binary("subtract", e.binary("subtract", h, column(e, average(e, h), x)), along);
    const dx = e.binary("multiply", inner, column(e, rstd, x));
    const slopes = [e.binary("multiply", g, normal), g];
    const add = ["%j0 = stablehlo.add %a0, %b0", "%j1 = stablehlo.add %a1, %b1"];
    const affine = halves
      ? e.reduceTogether(slopes, [0], [0, 0], add)
      : slopes.map((slope) => e.reduce("add", slope, [0], 0));
    return [...(attrs.x ? [dx] : []), ...(attrs.affine ? affine : [])];
  },
};

/** Of each row. */
const average = (e: Emitter, x: Ref): Ref =>
  e.binary("multiply", e.reduce("add", x, [1], 0), e.constant(1 / x.shape[1], "f32"));
const column = (e: Emitter, of: Ref, x: Ref): Ref => e.along(of, x.shape, [0]);
