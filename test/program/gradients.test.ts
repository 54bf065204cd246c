/** Every operation's gradient against finite differences. A new differentiable operation without a case here fails. */
import { describe, expect, test } from "vitest";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { differentiate } from "../../src/program/differentiate.ts";
import { type Builder, ProgramError, type Value } from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";
import { buildCase, compareWithDifferences, type DifferentiableCase } from "./finite.ts";

type Unary = (b: Builder, x: Value) => Value;
type Binary = (b: Builder, x: Value, y: Value) => Value;

const cases: DifferentiableCase[] = [];

const unary = (name: string, f: Unary, domain: DifferentiableCase["domain"] = "all") =>
  cases.push({ name, shapes: [[3, 4]], domain, build: (b, [x]) => f(b, x) });
unary("neg", ops.neg);
unary("exp", ops.exp);
unary("log", ops.log, "positive");
unary("sqrt", ops.sqrt, "positive");
unary("tanh", ops.tanh);
unary("erf", ops.erf);
unary("relu", ops.relu, "away from 0");
unary("recip", ops.recip, "away from 0");
unary("scale", (b, x) => ops.scale(b, x, -2.5));
unary("reshape", (b, x) => ops.reshape(b, x, [2, 6]));
unary("reshape to a longer shape", (b, x) => ops.reshape(b, x, [1, 12, 1]));
unary("transpose", (b, x) => ops.transpose(b, x, [1, 0]));
unary("slice rows", (b, x) => ops.slice(b, x, 0, 1, 3));
unary("slice columns", (b, x) => ops.slice(b, x, 1, 0, 2));
unary("pad", (b, x) => ops.pad(b, x, 1, 2, 1));
unary("pad before", (b, x) => ops.pad(b, x, 0, 1, 0));
unary("broadcastTo", (b, x) => ops.broadcastTo(b, x, [2, 3, 4]));
unary("softmax", ops.softmax);
unary("gelu erf", (b, x) => ops.gelu(b, x, "erf"));
unary("gelu tanh", (b, x) => ops.gelu(b, x, "tanh"));
unary("silu", ops.silu);
unary("a value read twice", (b, x) => ops.mul(b, x, x));
unary("beside positive", (b, x) => ops.mul(b, x, ops.positive(b, x)), "away from 0");
for (const keep of [false, true]) {
  for (const axes of [[0], [1], [0, 1]]) {
    unary(`reduceSum over ${axes}${keep ? ", kept" : ""}`, (b, x) => ops.reduceSum(b, x, axes, keep));
  }
}
cases.push({
  name: "reduceSum of a middle axis",
  shapes: [[2, 3, 2, 2]],
  build: (b, [x]) => ops.reduceSum(b, x, [1, 3]),
});
cases.push({
  name: "transpose of four axes",
  shapes: [[2, 3, 1, 4]],
  build: (b, [x]) => ops.transpose(b, x, [3, 0, 2, 1]),
});
cases.push({
  name: "broadcastTo along both kinds of axes",
  shapes: [[2, 1, 3]],
  build: (b, [x]) => ops.broadcastTo(b, x, [4, 2, 5, 3]),
});

const binary = (name: string, f: Binary, domain: DifferentiableCase["domain"] = "all") => {
  for (const [x, y] of [
    [
      [3, 4],
      [3, 4],
    ],
    [[3, 4], [4]],
    [[], [2, 3]],
    [[2, 3], []],
    [
      [2, 1, 3],
      [4, 1],
    ],
    [
      [3, 1],
      [1, 4],
    ],
    [[1], [2, 2]],
  ]) {
    cases.push({ name: `${name} of [${x}] and [${y}]`, shapes: [x, y], domain, build: (b, [x, y]) => f(b, x, y) });
  }
};
binary("add", ops.add);
binary("sub", ops.sub);
binary("mul", ops.mul);
binary("div", ops.div, "away from 0");

for (const transposeX of [false, true]) {
  for (const transposeY of [false, true]) {
    for (const [leadingX, leadingY] of [
      [[], []],
      [[2], [2]],
      [
        [2, 3],
        [2, 3],
      ],
      [[2, 2], []],
    ]) {
      const options = { transposeX, transposeY };
      const x = [...leadingX, ...(transposeX ? [4, 3] : [3, 4])];
      const y = [...leadingY, ...(transposeY ? [2, 4] : [4, 2])];
      cases.push({
        name: `matmul of [${x}] and [${y}] ${JSON.stringify(options)}`,
        shapes: [x, y],
        build: (b, [x, y]) => ops.matmul(b, x, y, options),
      });
    }
  }
}

for (const axis of [0, 1, 2]) {
  const piece = (extent: number) => [2, 3, 2].with(axis, extent);
  cases.push({
    name: `concat along axis ${axis}`,
    shapes: [piece(1), piece(3), piece(2)],
    build: (b, xs) => ops.concat(b, xs, axis),
  });
}

for (const axis of [0, 1]) {
  cases.push({
    name: `split along axis ${axis}, one part unread`,
    shapes: [[6, 3]],
    build: (b, [x]) => {
      const [first, , last] = ops.split(b, x, axis, 3);
      return ops.mul(b, first, ops.add(b, last, first));
    },
  });
}

cases.push({
  name: "gather with repeated ids",
  shapes: [[5, 3]],
  given: [{ shape: [4], numbers: [3, 0, 3, 3] }],
  build: (b, [table], [ids]) => ops.gather(b, table, ids),
});
cases.push({
  name: "scatterAdd with repeated ids",
  shapes: [[4, 3]],
  given: [{ shape: [4], numbers: [2, 5, 2, 0] }],
  build: (b, [updates], [ids]) => ops.scatterAdd(b, ids, updates, 6),
});
cases.push({
  name: "dropout",
  shapes: [[4, 5]],
  given: [{ shape: [2], numbers: [7, 3] }],
  build: (b, [x], [key]) => ops.dropout(b, x, key, 0.3, "test"),
});

for (const transposeWeight of [false, true]) {
  const weight = transposeWeight ? [2, 4] : [4, 2];
  const build = (b: Builder, [x, w, bias]: readonly Value[]) => ops.linear(b, x, w, bias ?? null, { transposeWeight });
  const name = `linear${transposeWeight ? ", weight transposed" : ""}`;
  cases.push({ name, shapes: [[3, 4], weight, [2]], build });
  cases.push({ name: `${name}, no bias`, shapes: [[3, 4], weight], build });
}

cases.push({
  name: "layerNorm",
  shapes: [[3, 5], [5], [5]],
  build: (b, [x, gain, shift]) => ops.layerNorm(b, x, gain, shift, 1e-5).y,
});
cases.push({
  name: "layerNorm with a large eps, of one row",
  shapes: [[1, 4], [4], [4]],
  build: (b, [x, gain, shift]) => ops.layerNorm(b, x, gain, shift, 0.3).y,
});

cases.push({
  name: "rmsNorm",
  shapes: [[3, 5], [5]],
  build: (b, [x, gain]) => ops.rmsNorm(b, x, gain, 1e-5).y,
});
cases.push({
  name: "rmsNorm with a large eps, of one row",
  shapes: [[1, 4], [4]],
  build: (b, [x, gain]) => ops.rmsNorm(b, x, gain, 0.3).y,
});
for (const back of [false, true]) {
  cases.push({
    name: `rotary${back ? ", turned back" : ""}`,
    shapes: [[2, 3, 8]],
    build: (b, [x]) => ops.rotary(b, x, ops.rotations(b, 3, [1, 0.3], 1.1), { back }),
  });
}

for (const kvHeads of [1, 2, 4]) {
  for (const [causal, window] of [
    [true, -1],
    [true, 0],
    [true, 1],
    [false, 1],
  ] as const) {
    cases.push({
      name: `attention of four heads over ${kvHeads}, ${causal ? "causal" : "both ways"}, window ${window}`,
      shapes: [
        [2, 3, 8],
        [2, 4, 2 * kvHeads],
        [2, 4, 2 * kvHeads],
      ],
      given: [{ shape: [2], numbers: [5, 1] }],
      build(b, [q, k, v], [key]) {
        const mask = ops.dropoutMask(b, key, { shape: [2, 4, 3, 4], rate: 0.3, stream: "attention" });
        return ops.attention(b, q, k, v, { heads: 4, kvHeads, causal, window, mask }).out;
      },
    });
  }
}

for (const causal of [false, true]) {
  for (const [queries, keys] of [[3, 3], [2, 4], ...(causal ? [] : [[3, 2]])]) {
    for (const bias of [false, true]) {
      for (const mask of [false, true]) {
        const given: DifferentiableCase["given"] = [
          { shape: [2], numbers: [5, 1] },
          // Padding at the end of the second sequence; the other numbers are small, so that they show.
          {
            shape: [2, keys],
            dtype: "f32",
            numbers: Array.from({ length: 2 * keys }, (_, i) => (i === 2 * keys - 1 ? ops.HIDDEN : i / 4)),
          },
        ];
        cases.push({
          name: `attention, ${queries} queries, ${keys} keys${causal ? ", causal" : ""}${bias ? ", bias" : ""}${mask ? ", mask" : ""}`,
          shapes: [
            [2, queries, 4],
            [2, keys, 4],
            [2, keys, 4],
          ],
          given,
          build(b, [q, k, v], [key, padding]) {
            const heads = 2;
            const shape = [2, heads, queries, keys];
            return ops.attention(b, q, k, v, {
              heads,
              causal,
              ...(bias ? { bias: padding } : {}),
              ...(mask ? { mask: ops.dropoutMask(b, key, { shape, rate: 0.4, stream: "attention" }) } : {}),
            }).out;
          },
        });
      }
    }
  }
}
cases.push({
  name: "attention of one value with itself, a scale of its own",
  shapes: [[1, 3, 6]],
  build: (b, [x]) => ops.attention(b, x, x, x, { heads: 3, causal: true, scale: 0.8 }).out,
});

for (const causal of [false, true]) {
  cases.push({
    name: `attention inside documents${causal ? ", causal" : ""}`,
    shapes: [
      [2, 2, 4],
      [2, 3, 4],
      [2, 3, 4],
    ],
    given: [
      { shape: [2, 2], numbers: [0, 1, 0, 0] },
      { shape: [2, 3], numbers: [0, 1, 1, 0, 0, 0] },
    ],
    build: (b, [q, k, v], [queries, keys]) =>
      ops.attention(b, q, k, v, { heads: 2, causal, apart: { queries, keys } }).out,
  });
}

cases.push({
  name: "crossEntropy with a zero weight and a repeated label",
  shapes: [[4, 5]],
  given: [
    { shape: [4], numbers: [2, 4, 2, 0] },
    { shape: [4], dtype: "f32", numbers: [0.5, 0, 1.25, 2] },
  ],
  build: (b, [logits], [labels, weights]) => ops.crossEntropy(b, logits, labels, weights).loss,
});
cases.push({
  name: "a small network with a tied matrix",
  shapes: [[5, 4], [4, 4], [4], [4], [4]],
  given: [
    { shape: [3], numbers: [4, 1, 4] },
    { shape: [3], numbers: [1, 1, 0] },
    { shape: [3], dtype: "f32", numbers: [1, 0.5, 0.25] },
  ],
  build(b, [embedding, weight, bias, gain, shift], [ids, labels, weights]) {
    const x = ops.gather(b, embedding, ids);
    const hidden = ops.gelu(b, ops.linear(b, x, weight, bias), "erf");
    const { y } = ops.layerNorm(b, ops.add(b, hidden, x), gain, shift, 1e-5);
    const logits = ops.linear(b, y, embedding, null, { transposeWeight: true });
    return ops.crossEntropy(b, logits, labels, weights).loss;
  },
});

describe("gradients against finite differences", () => {
  test.each(cases)("$name", (entry) => {
    const { error, oneByOne } = compareWithDifferences(entry);
    expect(error).toBeLessThan(1e-8);
    expect(oneByOne).toBe(true);
  });

  test("every differentiable operation has a case", () => {
    const covered = new Set(cases.flatMap((entry) => buildCase(entry).b.nodes.map((node) => node.op.name)));
    const differentiable = ops.operations.filter((op) => op.gradient !== undefined).map((op) => op.name);
    expect(differentiable.length).toBeGreaterThan(20);
    expect(differentiable.filter((name) => !covered.has(name))).toEqual([]);
  });
});

describe("what is not differentiable says so", () => {
  const b = new ProgramBuilder();
  const x = b.input("x", [2, 3]);
  const row = b.input("row", [3]);
  const sum = (value: Value) => ops.reduceSum(b, value, [...value.shape.keys()]);
  const x3 = ops.reshape(b, x, [1, 2, 3]);
  const padding = b.input("padding", [1, 2]);
  const weights = b.input("weights", [2]);
  const labels = b.input("labels", [2], "i32");
  const turns = b.input("turns", [2, 2, 2]);
  const attended = ops.attention(b, x3, x3, x3, { heads: 1, causal: false, bias: padding });
  const { loss, logsumexp } = ops.crossEntropy(b, x, labels, weights);
  test.each<[string, Value, Value]>([
    ["a norm's statistics", sum(ops.layerNorm(b, x, row, row, 1e-5).mean), x],
    ["attention's probabilities", sum(attended.probs), x],
    ["attention's bias", sum(attended.out), padding],
    ["the other norm's statistics", sum(ops.rmsNorm(b, x, row, 1e-5).rrms), x],
    ["rotary's turns", sum(ops.rotary(b, b.input("heads", [1, 2, 4]), turns)), turns],
    ["logsumexp", sum(logsumexp), x],
    ["a loss's weights", loss, weights],
    ["a norm of gradients", ops.globalNorm(b, [x]), x],
  ])("%s", (_name, loss, wrt) => {
    expect(() => differentiate(b, loss, [wrt])).toThrow(ProgramError);
  });
});
