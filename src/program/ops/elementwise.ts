/** Element by element: functions of one tensor, and of two that broadcast. Each element costs one operation. */
import { type Builder, type NoAttributes, type Operation, size, type Type, type Value } from "../graph.ts";
import { operation, takes } from "../operation.ts";
import { broadcastShape, unbroadcast } from "./axes.ts";

type Unary = readonly [op: Operation<NoAttributes>, apply: (b: Builder, x: Value) => Value];
type Binary = readonly [op: Operation<NoAttributes>, apply: (b: Builder, x: Value, y: Value) => Value];

const eachElement = (_inputs: readonly Type[], [{ shape }]: readonly Type[]) => size(shape);

/** @param gradient the input's gradient from the output's, the input and the output */
function unary(
  name: string,
  gradient?: (b: Builder, g: Value, x: Value, y: Value) => Value,
  rest: Omit<Operation<NoAttributes>, "name" | "infer"> = {},
): Unary {
  const op = operation(name, takes("x [*] -> [*]"), {
    ...(gradient && { gradient: (b, [g], { inputs: [x], outputs: [y] }) => [gradient(b, g, x, y)] }),
    flops: eachElement,
    ...rest,
  });
  return [op, (b, x) => b.apply(op, [x], {})[0]];
}

/** A gradient is given in the output's shape; what was repeated is summed. */
type GradientOfTwo = (b: Builder, gradient: Value, x: Value, y: Value, output: Value) => Value;

function binary(
  name: string,
  ofX: GradientOfTwo | null,
  ofY: GradientOfTwo | null,
  { dtype = "f32", ...rest }: Omit<Operation<NoAttributes>, "name" | "infer"> & Partial<Pick<Type, "dtype">> = {},
): Binary {
  const rule = (inputs: readonly Type[]) => {
    if (inputs.length !== 2) return `takes 2 inputs, not ${inputs.length}`;
    const [x, y] = inputs;
    if (x.dtype !== dtype || y.dtype !== dtype) return `x and y must be ${dtype}, not ${x.dtype} and ${y.dtype}`;
    const shape = broadcastShape(x.shape, y.shape);
    return typeof shape === "string" ? shape : [{ dtype: "f32", shape } as const];
  };
  const op = operation(name, rule, {
    ...(ofX !== null &&
      ofY !== null && {
        gradient: (b, [g], { inputs: [x, y], outputs: [output] }, wanted) => [
          wanted[0] ? unbroadcast(b, ofX(b, g, x, y, output), x.shape) : null,
          wanted[1] ? unbroadcast(b, ofY(b, g, x, y, output), y.shape) : null,
        ],
      }),
    flops: eachElement,
    ...rest,
  });
  return [op, (b, x, y) => b.apply(op, [x, y], {})[0]];
}

export const [addOp, add] = binary(
  "add",
  (_b, g) => g,
  (_b, g) => g,
);

export const [subOp, sub] = binary("sub", null, null, {
  // What was repeated is summed first and negated afterwards, when it is small.
  gradient: (b, [g], { inputs: [x, y] }, wanted) => [
    wanted[0] ? unbroadcast(b, g, x.shape) : null,
    wanted[1] ? neg(b, unbroadcast(b, g, y.shape)) : null,
  ],
});

export const [mulOp, mul] = binary(
  "mul",
  (b, g, _x, y) => mul(b, g, y),
  (b, g, x) => mul(b, g, x),
);

export const [divOp, div] = binary(
  "div",
  (b, g, _x, y) => div(b, g, y),
  (b, g, _x, y, output) => neg(b, mul(b, g, div(b, output, y))),
);

/** 1 where two index tensors are equal, else 0, as real numbers. */
export const [equalOp, equal] = binary("equal", null, null, { dtype: "i32" });

export const [negOp, neg] = unary("neg", (b, g) => neg(b, g));
/** e to the power x. */
export const [expOp, exp] = unary("exp", (b, g, _x, y) => mul(b, g, y));
/** The natural logarithm. */
export const [logOp, log] = unary("log", (b, g, x) => div(b, g, x));
export const [sqrtOp, sqrt] = unary("sqrt", (b, g, _x, y) => div(b, scale(b, g, 0.5), y));
export const [tanhOp, tanh] = unary("tanh", (b, g, _x, y) => sub(b, g, mul(b, g, mul(b, y, y))));
/** The error function: its derivative is 2/√π · e^(−x²). */
export const [erfOp, erf] = unary("erf", (b, g, x) =>
  mul(b, g, scale(b, exp(b, neg(b, mul(b, x, x))), 2 / Math.sqrt(Math.PI))),
);
/** max(x, 0). The derivative at 0 is taken as 0. */
export const [reluOp, relu] = unary("relu", (b, g, _x, y) => mul(b, g, positive(b, y)));
/** 1 / x. */
export const [recipOp, recip] = unary("recip", (b, g, _x, y) => neg(b, mul(b, g, mul(b, y, y))));
/** 1 where x > 0, else 0: the derivative of relu. Its own derivative is 0 wherever it exists, so no gradient passes. */
export const [positiveOp, positive] = unary("positive", undefined, { stops: true });
/** x itself, through which differentiation does not go. */
export const [stopGradientOp, stopGradient] = unary("stopGradient", undefined, { stops: true, flops: () => 0 });

/** x times a number known when the program is built. */
export const scaleOp = operation<{ readonly factor: number }>(
  "scale",
  takes("x [*] -> [*]", (_extents, { factor }) => !Number.isFinite(factor) && `the factor can't be ${factor}`),
  { gradient: (b, [g], { attrs: { factor } }) => [scale(b, g, factor)], flops: eachElement },
);

export function scale(b: Builder, x: Value, factor: number): Value {
  return factor === 1 ? x : b.apply(scaleOp, [x], { factor })[0];
}
