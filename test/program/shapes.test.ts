/** Shape rules: properties over random shapes, and for every operation inputs that it must refuse. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ProgramBuilder } from "../../src/program/builder.ts";
import {
  type Builder,
  type DType,
  ProgramError,
  type Shape,
  sameShape,
  size,
  type Value,
} from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";
import { evaluate } from "./evaluate.ts";
import { randomNumbers } from "./finite.ts";
import * as slopes from "./slopes.ts";

const extents = (length: { min: number; max: number }) =>
  fc.array(fc.integer({ min: 1, max: 4 }), { minLength: length.min, maxLength: length.max });
const anyShape = extents({ min: 1, max: 4 });
/** A shape and one of its axes. */
const shapeAndAxis = anyShape.chain((shape) => fc.tuple(fc.constant(shape), fc.nat({ max: shape.length - 1 })));

/** What a function of one tensor makes of random numbers. */
function apply(shape: Shape, f: (b: Builder, x: Value) => Value): { shape: Shape; x: number[]; y: number[] } {
  const b = new ProgramBuilder();
  const result = f(b, b.input("x", shape));
  b.output("y", result);
  const x = randomNumbers(size(shape), "shapes");
  return { shape: result.shape, x: [...x], y: [...(evaluate(b.build(), new Map([["x", x]])).outputs.get("y") ?? [])] };
}

describe("shape rules as properties", () => {
  test("broadcasting: extents agree or one is 1, aligned at the end, whichever comes first", () => {
    fc.assert(
      fc.property(extents({ min: 0, max: 4 }), extents({ min: 0, max: 4 }), (x, y) => {
        const b = new ProgramBuilder();
        const add = (p: Shape, q: Shape) => ops.add(b, b.input(`${p}`, p), b.input(`${q}`, q)).shape;
        const pairs = Array.from({ length: Math.max(x.length, y.length) }, (_, i) => [x.at(-1 - i), y.at(-1 - i)]);
        const fits = pairs.every(([p = 1, q = 1]) => p === q || p === 1 || q === 1);
        if (!fits) {
          expect(() => add(x, y)).toThrow(ProgramError);
          return;
        }
        expect(add(x, y)).toEqual(pairs.map(([p = 1, q = 1]) => Math.max(p, q)).reverse());
        expect(add(y, x)).toEqual(add(x, y));
      }),
    );
  });

  test("matmul: [..., m, k] · [..., k, n], however its operands are given", () => {
    const extent = fc.integer({ min: 1, max: 4 });
    const leading = extents({ min: 0, max: 2 });
    fc.assert(
      fc.property(
        leading,
        extent,
        extent,
        extent,
        extent,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
        (l, m, k, n, other, transposeX, transposeY, shared) => {
          const b = new ProgramBuilder();
          const x = b.input("x", [...l, ...(transposeX ? [k, m] : [m, k])]);
          const right = (inner: number) => [...(shared ? [] : l), ...(transposeY ? [n, inner] : [inner, n])];
          const options = { transposeX, transposeY };
          expect(ops.matmul(b, x, b.input("y", right(k)), options).shape).toEqual([...l, m, n]);
          if (other !== k) expect(() => ops.matmul(b, x, b.input("z", right(other)), options)).toThrow(ProgramError);
        },
      ),
    );
  });

  test("a transpose and its inverse give the tensor back", () => {
    const permuted = anyShape.chain((shape) =>
      fc.tuple(fc.constant(shape), fc.shuffledSubarray([...shape.keys()], { minLength: shape.length })),
    );
    fc.assert(
      fc.property(permuted, ([shape, perm]) => {
        const inverse = perm.map((_, axis) => perm.indexOf(axis));
        const there = apply(shape, (b, x) => ops.transpose(b, x, perm));
        expect(there.shape).toEqual(perm.map((axis) => shape[axis]));
        const back = apply(shape, (b, x) => ops.transpose(b, ops.transpose(b, x, perm), inverse));
        expect(back.y).toEqual(back.x);
      }),
    );
  });

  test("a slice of what was padded, and pieces put side by side, give the tensor back", () => {
    fc.assert(
      fc.property(
        shapeAndAxis,
        fc.nat({ max: 3 }),
        fc.nat({ max: 3 }),
        fc.nat(),
        ([shape, axis], before, after, cut) => {
          const extent = shape[axis];
          const padded = apply(shape, (b, x) => {
            const wide = ops.pad(b, x, axis, before, after);
            expect(wide.shape).toEqual(shape.with(axis, before + extent + after));
            return ops.slice(b, wide, axis, before, before + extent);
          });
          expect(padded.y).toEqual(padded.x);
          if (extent === 1) return;
          const at = 1 + (cut % (extent - 1));
          const joined = apply(shape, (b, x) =>
            ops.concat(b, [ops.slice(b, x, axis, 0, at), ops.slice(b, x, axis, at, extent)], axis),
          );
          expect(joined.y).toEqual(joined.x);
        },
      ),
    );
  });

  test("the sum over repeats is a multiple, whether axes are kept or not", () => {
    fc.assert(
      fc.property(shapeAndAxis, fc.integer({ min: 1, max: 3 }), ([shape, axis], times) => {
        const wide = [times, ...shape];
        const repeated = apply(shape, (b, x) => ops.reduceSum(b, ops.broadcastTo(b, x, wide), [0]));
        expect(repeated.shape).toEqual(shape);
        repeated.y.forEach((y, i) => {
          expect(y).toBeCloseTo(times * repeated.x[i], 12);
        });
        const gone = apply(shape, (b, x) => ops.reduceSum(b, x, [axis]));
        const kept = apply(shape, (b, x) => ops.reduceSum(b, x, [axis], true));
        expect(kept.y).toEqual(gone.y);
        expect(kept.shape).toEqual(shape.with(axis, 1));
        expect(gone.shape).toEqual(shape.toSpliced(axis, 1));
      }),
    );
  });

  test("a reshape keeps the numbers, or is refused", () => {
    fc.assert(
      fc.property(anyShape, anyShape, (from, to) => {
        const reshaping = () => apply(from, (b, x) => ops.reshape(b, x, to));
        if (size(from) !== size(to)) expect(reshaping).toThrow(ProgramError);
        else expect(reshaping().y).toEqual(reshaping().x);
      }),
    );
  });

  test("what changes nothing adds nothing", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [2, 3]);
    const same = [
      ops.reshape(b, x, [2, 3]),
      ops.transpose(b, x, [0, 1]),
      ops.slice(b, x, 1, 0, 3),
      ops.pad(b, x, 0, 0, 0),
      ops.concat(b, [x], 1),
      ops.broadcastTo(b, x, [2, 3]),
      ops.reduceSum(b, x, []),
      ops.scale(b, x, 1),
    ];
    expect(same.every((value) => value === x)).toBe(true);
    expect(b.nodes).toEqual([]);
  });
});

describe("what does not fit is refused", () => {
  const b = new ProgramBuilder();
  const v = (shape: Shape, dtype: DType = "f32") => b.input(`${dtype} ${shape}`, shape, dtype);
  const i = (shape: Shape) => v(shape, "i32");
  const mask = (rate: number) => () => ops.dropoutMask(b, i([2]), { shape: [2], rate, stream: "s" });
  const attend = (options: Partial<ops.AttentionOptions>, q: Shape = [2, 3, 4], k: Shape = [2, 3, 4]) =>
    ops.attention(b, v(q), v(k), v(k), { heads: 2, causal: false, ...options });
  const adamw = (inputs: Partial<ops.AdamwInputs>, settings: Partial<ops.AdamwSettings> = {}) =>
    ops.adamw(
      b,
      { param: v([2]), grad: v([2]), m: v([2]), v: v([2]), steps: v([]), clip: v([]), rate: v([]), ...inputs },
      { beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0, ...settings },
    );
  const rmsGrad = { g: v([2, 3]), x: v([2, 3]), gain: v([3]), rrms: v([2]) };
  const normGrad = { g: v([2, 3]), x: v([2, 3]), gain: v([3]), mean: v([2]), rstd: v([2]) };
  const attentionGrad = {
    g: v([2, 3, 4]),
    q: v([2, 3, 4]),
    k: v([2, 3, 4]),
    v: v([2, 3, 4]),
    out: v([2, 3, 4]),
    probs: v([2, 2, 3, 3]),
  };
  const lossGrad = { g: v([]), logits: v([2, 3]), logsumexp: v([2]), labels: i([2]), weights: v([2]) };

  const wrong: Record<string, (() => unknown)[]> = {
    add: [() => ops.add(b, v([2]), v([3])), () => ops.add(b, v([2]), i([2]))],
    sub: [() => ops.sub(b, v([2]), v([3]))],
    mul: [() => ops.mul(b, v([2, 3]), v([2]))],
    div: [() => ops.div(b, v([2]), i([2]))],
    neg: [() => ops.neg(b, i([2]))],
    exp: [() => ops.exp(b, i([2]))],
    log: [() => ops.log(b, i([2]))],
    sqrt: [() => ops.sqrt(b, i([2]))],
    tanh: [() => ops.tanh(b, i([2]))],
    erf: [() => ops.erf(b, i([2]))],
    relu: [() => ops.relu(b, i([2]))],
    recip: [() => ops.recip(b, i([2]))],
    positive: [() => ops.positive(b, i([2]))],
    stopGradient: [() => ops.stopGradient(b, i([2]))],
    scale: [() => ops.scale(b, v([2]), Number.NaN), () => ops.scale(b, i([2]), 2)],
    constant: [() => ops.constant(b, Number.POSITIVE_INFINITY, []), () => ops.constant(b, 0, [0])],
    equal: [() => ops.equal(b, v([2]), i([2])), () => ops.equal(b, i([2]), i([3]))],
    matmul: [
      () => ops.matmul(b, v([2]), v([2, 2])),
      () => ops.matmul(b, v([2, 2, 3]), v([3, 3, 2])),
      () => ops.matmul(b, v([2, 3]), v([1, 3, 2])),
      () => ops.matmul(b, v([2, 3]), i([3, 2])),
    ],
    reshape: [() => ops.reshape(b, v([2]), [3])],
    transpose: [
      () => ops.transpose(b, v([2, 3]), [0]),
      () => ops.transpose(b, v([2, 3]), [1, 1]),
      () => ops.transpose(b, v([2, 3]), [1, 2]),
    ],
    slice: [
      () => ops.slice(b, v([3]), 1, 0, 1),
      () => ops.slice(b, v([3]), 0, 2, 2),
      () => ops.slice(b, v([3]), 0, -1, 2),
      () => ops.slice(b, v([3]), 0, 1, 4),
    ],
    pad: [() => ops.pad(b, v([3]), 0, -1, 0), () => ops.pad(b, v([3]), 1, 1, 0)],
    concat: [
      () => ops.concat(b, [v([2, 3]), v([3, 3])], 1),
      () => ops.concat(b, [v([2, 3]), v([2])], 0),
      () => ops.concat(b, [v([2]), i([2])], 0),
    ],
    split: [() => ops.split(b, v([4]), 1, 2), () => ops.split(b, v([4]), 0, 3), () => ops.split(b, v([4]), 0, 0)],
    broadcastTo: [() => ops.broadcastTo(b, v([2]), [3]), () => ops.broadcastTo(b, v([2, 2]), [2])],
    reduceSum: [() => ops.reduceSum(b, v([2]), [1]), () => ops.reduceSum(b, v([2]), [0, 0])],
    reduceMax: [() => ops.reduceMax(b, v([2]), [-1])],
    argmax: [() => ops.argmax(b, v([]))],
    gather: [
      () => ops.gather(b, v([2]), i([2])),
      () => ops.gather(b, v([2, 2]), v([2])),
      () => ops.gather(b, v([2, 2]), i([2, 2])),
    ],
    scatterAdd: [() => ops.scatterAdd(b, i([3]), v([2, 2]), 4), () => ops.scatterAdd(b, v([2]), v([2, 2]), 4)],
    oneHot: [() => ops.oneHot(b, v([2]), 3), () => ops.oneHot(b, i([2]), 0)],
    bandBias: [
      () => ops.bandBias(b, 3, 2, { before: 3, after: 0 }),
      () => ops.bandBias(b, 2, 3, { before: -1, after: 0 }),
    ],
    rotations: [() => ops.rotations(b, 3, []), () => ops.rotations(b, 3, [1, Number.NaN])],
    dropoutMask: [
      mask(-0.1),
      mask(1),
      mask(Number.NaN),
      () => ops.dropoutMask(b, i([3]), { shape: [2], rate: 0.1, stream: "s" }),
      () => ops.dropoutMask(b, v([2]), { shape: [2], rate: 0.1, stream: "s" }),
    ],
    linear: [
      () => ops.linear(b, v([2, 3]), v([2, 3]), null),
      () => ops.linear(b, v([2, 3]), v([3, 2]), null, { transposeWeight: true }),
      () => ops.linear(b, v([2, 3]), v([3, 2]), v([3])),
      () => ops.linear(b, v([1, 2, 3]), v([3, 2]), null),
    ],
    softmax: [() => ops.softmax(b, v([]))],
    layerNorm: [
      () => ops.layerNorm(b, v([2, 3]), v([2]), v([3]), 1e-5),
      () => ops.layerNorm(b, v([2, 3]), v([3]), v([2]), 1e-5),
      () => ops.layerNorm(b, v([2, 3]), v([3]), v([3]), -1),
      () => ops.layerNorm(b, v([3]), v([3]), v([3]), 1e-5),
    ],
    layerNormGrad: [
      () => slopes.layerNormGrad(b, normGrad, { x: false, affine: false }),
      () => slopes.layerNormGrad(b, { ...normGrad, mean: v([3]) }, { x: true, affine: true }),
      () => slopes.layerNormGrad(b, { ...normGrad, g: v([3, 2]) }, { x: true, affine: false }),
    ],
    rmsNorm: [
      () => ops.rmsNorm(b, v([2, 3]), v([2]), 1e-5),
      () => ops.rmsNorm(b, v([2, 3]), v([3]), -1),
      () => ops.rmsNorm(b, v([3]), v([3]), 1e-5),
    ],
    rmsNormGrad: [
      () => slopes.rmsNormGrad(b, rmsGrad, { x: false, gain: false }),
      () => slopes.rmsNormGrad(b, { ...rmsGrad, rrms: v([3]) }, { x: true, gain: true }),
      () => slopes.rmsNormGrad(b, { ...rmsGrad, g: v([3, 2]) }, { x: true, gain: false }),
    ],
    rotary: [
      () => ops.rotary(b, v([2, 3, 6]), v([2, 3, 2])),
      () => ops.rotary(b, v([2, 3, 8]), v([2, 4, 2])),
      () => ops.rotary(b, v([2, 3, 8]), v([3, 2])),
    ],
    silu: [() => ops.silu(b, i([2]))],
    siluGrad: [() => slopes.siluGrad(b, v([2]), v([3]))],
    gelu: [() => ops.gelu(b, i([2]), "erf")],
    geluGrad: [() => slopes.geluGrad(b, v([2]), v([3]), "tanh")],
    attention: [
      () => attend({ heads: 3 }),
      () => attend({}, [2, 3, 4], [1, 3, 4]),
      () => attend({}, [2, 3, 4], [2, 3, 6]),
      () => attend({ causal: true }, [2, 3, 4], [2, 2, 4]),
      () => attend({ window: 1 }, [2, 3, 4], [2, 2, 4]),
      () => attend({ kvHeads: 1 }),
      () => attend({ heads: 4, kvHeads: 3 }, [2, 3, 4], [2, 3, 3]),
      () => attend({ bias: v([2, 4]) }),
      () => attend({ mask: v([2, 3, 3]) }),
      () => attend({ apart: { queries: i([2, 3]), keys: i([2, 4]) } }),
      () => attend({ apart: { queries: v([2, 3]), keys: i([2, 3]) } }),
    ],
    attentionGrad: [
      () => slopes.attentionGrad(b, { ...attentionGrad, probs: v([2, 3, 3]) }, { heads: 2, scale: 1 }),
      () => slopes.attentionGrad(b, { ...attentionGrad, mask: v([2, 3, 3]) }, { heads: 2, scale: 1 }),
      () => slopes.attentionGrad(b, attentionGrad, { heads: 2, kvHeads: 1, scale: 1 }),
      () => slopes.attentionGrad(b, { ...attentionGrad, out: v([2, 3, 6]) }, { heads: 2, scale: 1 }),
    ],
    crossEntropy: [
      () => ops.crossEntropy(b, v([2, 3]), i([3]), v([2])),
      () => ops.crossEntropy(b, v([2, 3]), v([2]), v([2])),
      () => ops.crossEntropy(b, v([2, 3]), i([2]), v([3])),
    ],
    crossEntropyGrad: [
      () => slopes.crossEntropyGrad(b, { ...lossGrad, g: v([2]) }),
      () => slopes.crossEntropyGrad(b, { ...lossGrad, logsumexp: v([3]) }),
      () => slopes.crossEntropyGrad(b, { ...lossGrad, labels: i([3]) }),
    ],
    globalNorm: [() => ops.globalNorm(b, []), () => ops.globalNorm(b, [i([2])])],
    adamw: [
      () => adamw({ m: v([3]) }),
      () => adamw({ steps: v([1]) }),
      () => adamw({}, { beta1: 1 }),
      () => adamw({}, { eps: -1 }),
      () => adamw({}, { decay: Number.NaN }),
    ],
  };

  test.each(ops.operations.map((op) => op.name))("%s", (name) => {
    expect(wrong[name]?.length).toBeGreaterThan(0);
    for (const attempt of wrong[name]) expect(attempt).toThrow(ProgramError);
  });

  const takingAnyNumber = ["concat", "globalNorm"];
  test.each(ops.operations.filter((op) => !takingAnyNumber.includes(op.name)))("$name with nine inputs", (op) => {
    expect(() => op.infer(new Array<Value>(9).fill(v([2, 2])), {})).toThrow(ProgramError);
  });
});

test("names of operations are unique, and an operation is a primitive or a composite", () => {
  const names = ops.operations.map((op) => op.name);
  expect(new Set(names).size).toBe(names.length);
  expect(ops.primitives.every((op) => op.expand === undefined)).toBe(true);
  expect(ops.composites.every((op) => op.expand !== undefined)).toBe(true);
  // Every exported operation is listed.
  const exported = Object.entries(ops).flatMap(([name, value]) =>
    name.endsWith("Op") && typeof value === "object" && "name" in value ? [value.name] : [],
  );
  expect(exported.sort()).toEqual([...names].sort());
});

test("sameShape and size", () => {
  expect(sameShape([2, 3], [2, 3])).toBe(true);
  expect(sameShape([2, 3], [2])).toBe(false);
  expect(size([])).toBe(1);
});
