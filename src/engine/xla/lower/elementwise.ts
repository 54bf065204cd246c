/** Operations element by element. */
import type { Lowering, Lowerings } from "./lowering.ts";

const unary =
  (name: string): Lowering =>
  (e, _node, [x]) => [e.unary(name, x)];
const binary =
  (name: string): Lowering =>
  (e, { outputs }, [x, y]) => [e.binary(name, x, y, outputs[0].shape)];

export const elementwise: Lowerings = {
  add: binary("add"),
  sub: binary("subtract"),
  mul: binary("multiply"),
  div: binary("divide"),
  neg: unary("stablehlo.negate"),
  exp: unary("stablehlo.exponential"),
  log: unary("stablehlo.log"),
  sqrt: unary("stablehlo.sqrt"),
  tanh: unary("stablehlo.tanh"),
  erf: unary("chlo.erf"),
  relu: (e, _node, [x]) => [e.binary("maximum", x, e.constant(0, "f32"))],
  recip: (e, _node, [x]) => [e.binary("divide", e.constant(1, "f32"), x, x.shape)],
  positive: (e, _node, [x]) => [e.convert(e.compare("GT", x, e.constant(0, "f32")), "f32")],
  scale: (e, { attrs }, [x]) => [e.binary("multiply", x, e.constant(attrs.factor, "f32"))],
  constant: (e, { attrs, outputs }) => [e.constant(attrs.value, "f32", outputs[0].shape)],
  equal: (e, { outputs }, [x, y]) => [e.convert(e.compare("EQ", x, y, outputs[0].shape), "f32")],
  stopGradient: (_e, _node, [x]) => [x],
};
