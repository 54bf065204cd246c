/** What operations compute, by the reference engine's kernels, against formulas written out here. */
import { describe, expect, test } from "vitest";
import type { Numbers } from "../../src/engine/reference/kernels.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import type { Shape, Value } from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";
import { philox, streamId } from "../../src/util/random.ts";
import { evaluate } from "./evaluate.ts";
import { randomNumbers } from "./finite.ts";

type Given = Record<string, { shape: Shape; numbers: readonly number[] | Float64Array | Int32Array; i32?: boolean }>;

/** Builds a program over the given inputs and evaluates its results, by name. */
function compute(
  given: Given,
  build: (b: ProgramBuilder, inputs: Record<string, Value>) => Readonly<Record<string, Value>>,
): Record<string, number[]> {
  const b = new ProgramBuilder();
  const values: Record<string, Value> = {};
  const inputs = new Map<string, Numbers>();
  for (const [name, { shape, numbers, i32 }] of Object.entries(given)) {
    values[name] = b.input(name, shape, i32 ? "i32" : "f32");
    inputs.set(name, i32 ? Int32Array.from(numbers) : Float64Array.from(numbers));
  }
  for (const [name, value] of Object.entries(build(b, values))) b.output(name, value);
  const { outputs } = evaluate(b.build(), inputs);
  return Object.fromEntries([...outputs].map(([name, numbers]) => [name, [...numbers]]));
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-12): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i] - value)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(value)));
  });
}

describe("elementwise", () => {
  test("the unary functions", () => {
    const x = [-2.5, -0.3, 0, 0.7, 3.2];
    const positive = [0.1, 0.5, 1, 2, 9];
    const result = compute({ x: { shape: [5], numbers: x }, p: { shape: [5], numbers: positive } }, (b, { x, p }) => ({
      neg: ops.neg(b, x),
      exp: ops.exp(b, x),
      tanh: ops.tanh(b, x),
      relu: ops.relu(b, x),
      positive: ops.positive(b, x),
      stopped: ops.stopGradient(b, x),
      scaled: ops.scale(b, x, -2),
      log: ops.log(b, p),
      sqrt: ops.sqrt(b, p),
      recip: ops.recip(b, p),
    }));
    expectClose(result.neg, [2.5, 0.3, -0, -0.7, -3.2]);
    expectClose(result.exp, x.map(Math.exp));
    expectClose(result.tanh, x.map(Math.tanh));
    expect(result.relu).toEqual([0, 0, 0, 0.7, 3.2]);
    expect(result.positive).toEqual([0, 0, 0, 1, 1]);
    expect(result.stopped).toEqual(x);
    expect(result.scaled).toEqual([5, 0.6, -0, -1.4, -6.4]);
    expectClose(result.log, positive.map(Math.log));
    expectClose(result.sqrt, positive.map(Math.sqrt));
    expectClose(result.recip, [10, 2, 1, 0.5, 1 / 9]);
  });

  test("the error function, against tabulated values", () => {
    // On both sides of where one method of computing it takes over from another.
    const table: [number, number][] = [
      [0, 0],
      [0.1, 0.1124629160182849],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [2.499999, 0.9995930458042653],
      [2.5, 0.999593047982555],
      [3, 0.9999779095030014],
      [4.5, 0.9999999998033839],
      [7, 1],
    ];
    const x = table.flatMap(([x]) => [x, -x]);
    const { y } = compute({ x: { shape: [x.length], numbers: x } }, (b, { x }) => ({ y: ops.erf(b, x) }));
    table.forEach(([, value], i) => {
      expect(Math.abs(y[2 * i] - value)).toBeLessThan(1e-15);
      expect(y[2 * i + 1]).toBe(-y[2 * i]);
    });
  });

  test("the binary functions broadcast", () => {
    const result = compute(
      { x: { shape: [2, 1], numbers: [1, 2] }, y: { shape: [3], numbers: [10, 20, 40] } },
      (b, { x, y }) => ({ add: ops.add(b, x, y), sub: ops.sub(b, x, y), mul: ops.mul(b, x, y), div: ops.div(b, y, x) }),
    );
    expect(result.add).toEqual([11, 21, 41, 12, 22, 42]);
    expect(result.sub).toEqual([-9, -19, -39, -8, -18, -38]);
    expect(result.mul).toEqual([10, 20, 40, 20, 40, 80]);
    expect(result.div).toEqual([10, 20, 40, 5, 10, 20]);
  });

  test("equal compares indices", () => {
    const { same } = compute(
      { x: { shape: [2, 1], numbers: [3, 5], i32: true }, y: { shape: [3], numbers: [5, 3, 3], i32: true } },
      (b, { x, y }) => ({ same: ops.equal(b, x, y) }),
    );
    expect(same).toEqual([0, 1, 1, 1, 0, 0]);
  });
});

describe("products and movement", () => {
  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])("matmul, x transposed %s, y transposed %s", (transposeX, transposeY) => {
    const [batch, m, k, n] = [2, 3, 4, 2];
    const x = randomNumbers(batch * m * k, "x");
    for (const shared of [false, true]) {
      const y = randomNumbers((shared ? 1 : batch) * k * n, "y");
      const leading = shared ? [] : [batch];
      const { z } = compute(
        {
          x: { shape: [batch, ...(transposeX ? [k, m] : [m, k])], numbers: x },
          y: { shape: [...leading, ...(transposeY ? [n, k] : [k, n])], numbers: y },
        },
        (b, { x, y }) => ({ z: ops.matmul(b, x, y, { transposeX, transposeY }) }),
      );
      const expected: number[] = [];
      for (let s = 0; s < batch; s++) {
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            let sum = 0;
            for (let l = 0; l < k; l++) {
              const atY = (shared ? 0 : s * k * n) + (transposeY ? j * k + l : l * n + j);
              sum += x[s * m * k + (transposeX ? l * m + i : i * k + l)] * y[atY];
            }
            expected.push(sum);
          }
        }
      }
      expectClose(z, expected);
    }
  });

  test("reshape, transpose, slice, pad, concat, broadcastTo", () => {
    const x = { shape: [2, 3], numbers: [1, 2, 3, 4, 5, 6] };
    const result = compute({ x }, (b, { x }) => ({
      reshape: ops.reshape(b, x, [3, 2]),
      transpose: ops.transpose(b, x, [1, 0]),
      slice: ops.slice(b, x, 1, 1, 3),
      pad: ops.pad(b, x, 0, 1, 0),
      concat: ops.concat(b, [x, ops.slice(b, x, 1, 0, 1)], 1),
      broadcast: ops.broadcastTo(b, ops.slice(b, x, 1, 2, 3), [2, 2, 2]),
      constant: ops.constant(b, 1.5, [2, 2]),
    }));
    expect(result.reshape).toEqual([1, 2, 3, 4, 5, 6]);
    expect(result.transpose).toEqual([1, 4, 2, 5, 3, 6]);
    expect(result.slice).toEqual([2, 3, 5, 6]);
    expect(result.pad).toEqual([0, 0, 0, 1, 2, 3, 4, 5, 6]);
    expect(result.concat).toEqual([1, 2, 3, 1, 4, 5, 6, 4]);
    expect(result.broadcast).toEqual([3, 3, 6, 6, 3, 3, 6, 6]);
    expect(result.constant).toEqual([1.5, 1.5, 1.5, 1.5]);
  });

  test("reductions and argmax", () => {
    const x = { shape: [2, 2, 2], numbers: [1, -2, 3, 4, 0, 7, 7, -8] };
    const result = compute({ x }, (b, { x }) => ({
      outer: ops.reduceSum(b, x, [2, 0]),
      all: ops.reduceSum(b, x, [0, 1, 2]),
      max: ops.reduceMax(b, x, [1], true),
      argmax: ops.argmax(b, x),
      tie: ops.argmax(b, ops.reduceMax(b, x, [2])),
    }));
    expect(result.outer).toEqual([6, 6]);
    expect(result.all).toEqual([12]);
    expect(result.max).toEqual([3, 4, 7, 7]);
    expect(result.argmax).toEqual([0, 1, 1, 0]);
    expect(result.tie).toEqual([1, 0]);
  });

  test("gather, scatterAdd and oneHot", () => {
    const result = compute(
      {
        table: { shape: [3, 2], numbers: [1, 2, 3, 4, 5, 6] },
        ids: { shape: [4], numbers: [2, 0, 2, 2], i32: true },
        updates: { shape: [4, 2], numbers: [1, 10, 2, 20, 3, 30, 4, 40] },
      },
      (b, { table, ids, updates }) => ({
        gathered: ops.gather(b, table, ids),
        scattered: ops.scatterAdd(b, ids, updates, 4),
        hot: ops.oneHot(b, ids, 3),
      }),
    );
    expect(result.gathered).toEqual([5, 6, 1, 2, 5, 6, 5, 6]);
    expect(result.scattered).toEqual([2, 20, 0, 0, 8, 80, 0, 0]);
    expect(result.hot).toEqual([0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 1]);
  });

  test("an id outside the table is an error", () => {
    const ids = { shape: [1], numbers: [3], i32: true };
    expect(() =>
      compute({ table: { shape: [3, 1], numbers: [1, 2, 3] }, ids }, (b, { table, ids }) => ({
        x: ops.gather(b, table, ids),
      })),
    ).toThrow(RangeError);
  });

  test("bandBias: the last row stands at the last column", () => {
    const h = ops.HIDDEN;
    const { causal, narrow, both } = compute({}, (b) => ({
      causal: ops.bandBias(b, 2, 4, { before: 4, after: 0 }),
      narrow: ops.bandBias(b, 3, 4, { before: 1, after: 0 }),
      both: ops.bandBias(b, 4, 4, { before: 1, after: 1 }),
    }));
    expect(causal).toEqual([...[0, 0, 0, h], ...[0, 0, 0, 0]]);
    expect(narrow).toEqual([...[0, 0, h, h], ...[h, 0, 0, h], ...[h, h, 0, 0]]);
    expect(both).toEqual([...[0, 0, h, h], ...[0, 0, 0, h], ...[h, 0, 0, 0], ...[h, h, 0, 0]]);
  });

  test("rotations: cosines, then sines, of position times frequency", () => {
    const { turns } = compute({}, (b) => ({ turns: ops.rotations(b, 3, [1, 0.1], 2) }));
    const angles = [0, 0, 1, Math.fround(0.1), 2, Math.fround(0.2)];
    expectClose(turns, [...angles.map((a) => 2 * Math.cos(a)), ...angles.map((a) => 2 * Math.sin(a))]);
  });
});

describe("dropoutMask", () => {
  const mask = (seed: number, step: number, shape: Shape, rate: number, stream = "s") =>
    compute({ key: { shape: [2], numbers: [seed, step], i32: true } }, (b, { key }) => ({
      mask: ops.dropoutMask(b, key, { shape, rate, stream }),
    })).mask;

  test("reads the cipher's blocks 16 bits at a time", () => {
    const threshold = Math.round(0.37 * 65536);
    const actual = mask(9, 4, [3, 7], 0.37, "layer 3");
    const block = new Uint32Array(4);
    for (let i = 0; i < 21; i++) {
      philox(9, 0, Math.floor(i / 8), 0, 4, streamId("layer 3"), block);
      // The block's words on a little-endian machine.
      const word = new Uint16Array(block.buffer)[i % 8];
      expect(actual[i]).toBe(word >= threshold ? 65536 / (65536 - threshold) : 0);
    }
  });

  test("drops the share it says and keeps the mean", () => {
    const actual = mask(1, 0, [200, 200], 0.1);
    const dropped = actual.filter((x) => x === 0).length / actual.length;
    const sum = actual.reduce((total, x) => total + x, 0);
    // Five standard deviations of a share of 0.1 among 40,000.
    expect(Math.abs(dropped - 0.1)).toBeLessThan(0.0075);
    expect(Math.abs(sum / actual.length - 1)).toBeLessThan(0.0085);
  });

  test("keeps everything at rate 0 and differs by seed, step and stream", () => {
    expect(mask(1, 2, [3], 0)).toEqual([1, 1, 1]);
    const patterns = [mask(1, 0, [64], 0.5), mask(2, 0, [64], 0.5), mask(1, 1, [64], 0.5), mask(1, 0, [64], 0.5, "t")];
    expect(new Set(patterns.map(String)).size).toBe(4);
    expect(mask(1, 0, [64], 0.5)).toEqual(patterns[0]);
    // Negative numbers of the key are its bits.
    expect(mask(-1, 0, [64], 0.5)).not.toEqual(patterns[0]);
  });

  test("dropout with rate 0 adds nothing to the program", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [3]);
    expect(ops.dropout(b, x, b.input("key", [2], "i32"), 0, "s")).toBe(x);
  });
});

describe("composites", () => {
  test("linear, both layouts", () => {
    const result = compute(
      {
        x: { shape: [2, 2], numbers: [1, 2, 3, 4] },
        w: { shape: [2, 3], numbers: [1, 0, 2, 0, 1, 3] },
        bias: { shape: [3], numbers: [100, 200, 300] },
      },
      (b, { x, w, bias }) => ({
        plain: ops.linear(b, x, w, bias),
        transposed: ops.linear(b, x, ops.transpose(b, w, [1, 0]), null, { transposeWeight: true }),
      }),
    );
    expect(result.plain).toEqual([101, 202, 308, 103, 204, 318]);
    expect(result.transposed).toEqual([1, 2, 8, 3, 4, 18]);
  });

  test("softmax, of large numbers too", () => {
    const { y } = compute({ x: { shape: [2, 2], numbers: [1000, 1000 + Math.log(3), -1e30, 0] } }, (b, { x }) => ({
      y: ops.softmax(b, x),
    }));
    expectClose(y, [0.25, 0.75, 0, 1], 1e-12);
  });

  test("layerNorm", () => {
    const x = [1, 2, 4, 9, -3, 0, 0, 5];
    const gain = [1, 2, 3, 4];
    const shift = [0.5, 0, -1, 2];
    const result = compute(
      { x: { shape: [2, 4], numbers: x }, gain: { shape: [4], numbers: gain }, shift: { shape: [4], numbers: shift } },
      (b, { x, gain, shift }) => ops.layerNorm(b, x, gain, shift, 0.01),
    );
    for (const row of [0, 1]) {
      const values = x.slice(row * 4, row * 4 + 4);
      const mean = values.reduce((sum, value) => sum + value) / 4;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4;
      const rstd = 1 / Math.sqrt(variance + 0.01);
      expectClose([result.mean[row], result.rstd[row]], [mean, rstd]);
      expectClose(
        result.y.slice(row * 4, row * 4 + 4),
        values.map((value, i) => (value - mean) * rstd * gain[i] + shift[i]),
      );
    }
  });

  test("rmsNorm", () => {
    const x = [1, 2, 4, 9, -3, 0, 0, 5];
    const gain = [1, 2, 3, 4];
    const result = compute(
      { x: { shape: [2, 4], numbers: x }, gain: { shape: [4], numbers: gain } },
      (b, { x, gain }) => ops.rmsNorm(b, x, gain, 0.01),
    );
    for (const row of [0, 1]) {
      const values = x.slice(row * 4, row * 4 + 4);
      const root = 1 / Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / 4 + 0.01);
      expectClose([result.rrms[row]], [root]);
      expectClose(
        result.y.slice(row * 4, row * 4 + 4),
        values.map((value, i) => value * root * gain[i]),
      );
    }
  });

  test("silu", () => {
    const x = [-200, -3, 0, 0.5, 200];
    const { y } = compute({ x: { shape: [5], numbers: x } }, (b, { x }) => ({ y: ops.silu(b, x) }));
    expectClose(
      y,
      x.map((x) => x / (1 + Math.exp(-x))),
    );
  });

  test("rotary turns pairs of units half a head apart, as complex numbers", () => {
    const [length, heads, half] = [3, 2, 2];
    const x = [...randomNumbers(length * heads * 2 * half, "x")];
    const { y, again } = compute({ x: { shape: [1, length, heads * 2 * half], numbers: x } }, (b, { x }) => {
      const turns = ops.rotations(b, length, [1, 0.25]);
      const y = ops.rotary(b, x, turns);
      return { y, again: ops.rotary(b, y, turns, { back: true }) };
    });
    for (let t = 0; t < length; t++) {
      for (let head = 0; head < heads; head++) {
        for (let i = 0; i < half; i++) {
          const at = (t * heads + head) * 2 * half + i;
          const angle = t * [1, 0.25][i];
          const size = Math.hypot(x[at], x[at + half]);
          const turned = Math.atan2(x[at + half], x[at]) + angle;
          expectClose([y[at], y[at + half]], [size * Math.cos(turned), size * Math.sin(turned)]);
        }
      }
    }
    expectClose(again, x);
  });

  test("attention over fewer key heads is that over repeated ones, and a window hides what lies beyond", () => {
    const [batch, length, heads, kvHeads, d] = [2, 4, 4, 2, 3];
    const q = randomNumbers(batch * length * heads * d, "q");
    const [k, v] = ["k", "v"].map((name) => randomNumbers(batch * length * kvHeads * d, name));
    const repeated = (numbers: ArrayLike<number>) =>
      Array.from({ length: batch * length * heads * d }, (_, i) => {
        const [row, head, c] = [Math.floor(i / (heads * d)), Math.floor(i / d) % heads, i % d];
        return numbers[(row * kvHeads + Math.floor(head / (heads / kvHeads))) * d + c];
      });
    const few = { shape: [batch, length, kvHeads * d] };
    const many = { shape: [batch, length, heads * d] };
    const given = {
      q: { ...many, numbers: q },
      ...{ k: { ...few, numbers: k }, v: { ...few, numbers: v } },
      ...{ kk: { ...many, numbers: repeated(k) }, vv: { ...many, numbers: repeated(v) } },
    };
    const result = compute(given, (b, { q, k, v, kk, vv }) => ({
      grouped: ops.attention(b, q, k, v, { heads, kvHeads, causal: true, window: 1 }).out,
      plain: ops.attention(b, q, kk, vv, { heads, causal: true, window: 1 }).out,
      probs: ops.attention(b, q, k, v, { heads, kvHeads, causal: true, window: 1 }).probs,
    }));
    expectClose(result.grouped, result.plain);
    result.probs.forEach((share, i) => {
      const ahead = (i % length) - (Math.floor(i / length) % length);
      if (ahead > 0 || ahead < -1) expect(share).toBe(0);
      else expect(share).toBeGreaterThan(0);
    });
  });

  test("gelu, both forms", () => {
    const x = [-3, -1, 0, 0.5, 2];
    const result = compute({ x: { shape: [5], numbers: x } }, (b, { x }) => ({
      erf: ops.gelu(b, x, "erf"),
      tanh: ops.gelu(b, x, "tanh"),
    }));
    // x·Φ(x), Φ from tables of the normal distribution.
    expectClose(
      result.erf,
      [-3 * 0.0013498980316301, -0.158655253931457, 0, 0.5 * 0.691462461274013, 2 * 0.977249868051821],
      1e-13,
    );
    expectClose(
      result.tanh,
      x.map((x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
    );
  });

  test.each([false, true])("attention, causal %s, with padding and dropout", (causal) => {
    const [batch, queries, keys, heads, width] = [2, 2, 3, 2, 6];
    const d = width / heads;
    const q = randomNumbers(batch * queries * width, "q");
    const k = randomNumbers(batch * keys * width, "k");
    const v = randomNumbers(batch * keys * width, "v");
    const padding = [0, 0, ops.HIDDEN, 0, 0, 0];
    const mask = randomNumbers(batch * heads * queries * keys, "mask", "positive");
    const result = compute(
      {
        q: { shape: [batch, queries, width], numbers: q },
        k: { shape: [batch, keys, width], numbers: k },
        v: { shape: [batch, keys, width], numbers: v },
        bias: { shape: [batch, keys], numbers: padding },
        mask: { shape: [batch, heads, queries, keys], numbers: mask },
      },
      (b, { q, k, v, bias, mask }) => ops.attention(b, q, k, v, { heads, causal, bias, mask }),
    );
    const out = new Array<number>(batch * queries * width).fill(0);
    const probs: number[] = [];
    for (let s = 0; s < batch; s++) {
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < queries; i++) {
          const weights = Array.from({ length: keys }, (_, j) => {
            if (padding[s * keys + j] !== 0 || (causal && j > i + 1)) return 0;
            let score = 0;
            for (let c = 0; c < d; c++) {
              score += q[(s * queries + i) * width + h * d + c] * k[(s * keys + j) * width + h * d + c];
            }
            return Math.exp(score / Math.sqrt(d));
          });
          const total = weights.reduce((sum, weight) => sum + weight);
          weights.forEach((weight, j) => {
            const dropped = mask[probs.length];
            probs.push(weight / total);
            for (let c = 0; c < d; c++) {
              out[(s * queries + i) * width + h * d + c] +=
                (weight / total) * dropped * v[(s * keys + j) * width + h * d + c];
            }
          });
        }
      }
    }
    expectClose(result.probs, probs);
    expectClose(result.out, out);
  });

  test("crossEntropy", () => {
    const logits = [1, 2, 0.5, 1000, 0, 990, -1, 0, 1];
    const labels = [1, 2, 2];
    const weights = [0.5, 2, 0];
    const result = compute(
      {
        logits: { shape: [3, 3], numbers: logits },
        labels: { shape: [3], numbers: labels, i32: true },
        weights: { shape: [3], numbers: weights },
      },
      (b, { logits, labels, weights }) => ops.crossEntropy(b, logits, labels, weights),
    );
    const sums = [Math.log(Math.exp(1) + Math.exp(2) + Math.exp(0.5)), 1000 + Math.log1p(Math.exp(-10)), 0];
    expectClose(result.logsumexp.slice(0, 2), sums.slice(0, 2));
    expectClose(result.loss, [0.5 * (sums[0] - 2) + 2 * (sums[1] - 990)]);
  });

  test("globalNorm", () => {
    const { norm } = compute(
      { x: { shape: [2, 2], numbers: [1, -2, 3, 1] }, y: { shape: [], numbers: [-7] } },
      (b, { x, y }) => ({ norm: ops.globalNorm(b, [x, y]) }),
    );
    expectClose(norm, [8]);
  });

  test.each([
    { beta1: 0.9, beta2: 0.999, eps: 1e-8, decay: 0.01 },
    { beta1: 0, beta2: 0.5, eps: 1e-3, decay: 0 },
  ])("adamw over five steps, %j", (settings) => {
    const { beta1, beta2, eps, decay } = settings;
    const n = 4;
    let expected = { param: [...randomNumbers(n, "param")], m: [0, 0, 0, 0], v: [0, 0, 0, 0], steps: [0] };
    let actual: Record<string, number[]> = expected;
    for (let step = 1; step <= 5; step++) {
      const grad = randomNumbers(n, `grad ${step}`);
      const clip = step === 3 ? 0.25 : 1;
      const rate = 0.1 / step;
      actual = compute(
        {
          param: { shape: [2, 2], numbers: actual.param },
          grad: { shape: [2, 2], numbers: grad },
          m: { shape: [2, 2], numbers: actual.m },
          v: { shape: [2, 2], numbers: actual.v },
          steps: { shape: [], numbers: actual.steps },
          clip: { shape: [], numbers: [clip] },
          rate: { shape: [], numbers: [rate] },
        },
        (b, { param, grad, m, v, steps, clip, rate }) =>
          ops.adamw(b, { param, grad, m, v, steps, clip, rate }, settings),
      );
      const m = expected.m.map((m, i) => beta1 * m + (1 - beta1) * grad[i] * clip);
      const v = expected.v.map((v, i) => beta2 * v + (1 - beta2) * (grad[i] * clip) ** 2);
      const param = expected.param.map((p, i) => {
        const mHat = m[i] / (1 - beta1 ** step);
        const vHat = v[i] / (1 - beta2 ** step);
        return p * (1 - rate * decay) - (rate * mHat) / (Math.sqrt(vHat) + eps);
      });
      expected = { param, m, v, steps: [step] };
      expectClose(actual.param, param);
      expectClose(actual.m, m);
      expectClose(actual.v, v);
      expect(actual.steps).toEqual([step]);
    }
  });
});
