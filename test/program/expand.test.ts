/** Expansion keeps what a program computes and costs; FLOPs against a count by hand. */
import { describe, expect, test } from "vitest";
import type { Numbers } from "../../src/engine/reference/kernels.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { differentiate } from "../../src/program/differentiate.ts";
import { expand } from "../../src/program/expand.ts";
import { flops } from "../../src/program/flops.ts";
import type { Program } from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";
import { evaluate } from "./evaluate.ts";
import { randomNumbers } from "./finite.ts";
import * as slopes from "./slopes.ts";

/** A block with every composite, its backward pass and an optimizer's step. */
function step(): Program {
  const b = new ProgramBuilder();
  const [batch, length, width, vocab, heads] = [2, 3, 4, 7, 2];
  const ids = b.input("ids", [batch * length], "i32");
  const labels = b.input("labels", [batch * length], "i32");
  const weights = b.input("weights", [batch * length]);
  const table = b.state("table", [vocab, width]);
  const gain = b.state("gain", [width]);
  const shift = b.state("shift", [width]);
  const matrix = b.state("matrix", [width, width]);
  const bias = b.state("bias", [width]);
  const x = ops.layerNorm(b, ops.gather(b, table, ids), gain, shift, 1e-5).y;
  const sequences = ops.reshape(b, ops.linear(b, x, matrix, bias), [batch, length, width]);
  const turned = ops.rotary(b, sequences, ops.rotations(b, length, [0.5]));
  const { out } = ops.attention(b, turned, turned, sequences, { heads, causal: true });
  const normal = ops.rmsNorm(b, ops.silu(b, ops.reshape(b, out, [batch * length, width])), gain, 1e-5).y;
  const mixed = ops.gelu(b, normal, "tanh");
  const gate = ops.softmax(b, ops.concat(b, [...ops.split(b, mixed, 1, 2)].reverse(), 1));
  const logits = ops.linear(b, ops.add(b, x, ops.mul(b, mixed, gate)), table, null, { transposeWeight: true });
  const { loss } = ops.crossEntropy(b, logits, labels, weights);
  const params = { table, gain, shift, matrix, bias };
  const gradients = differentiate(b, loss, Object.values(params));
  const norm = ops.globalNorm(b, gradients);
  const clip = ops.recip(b, ops.add(b, norm, ops.constant(b, 1)));
  Object.entries(params).forEach(([name, param], i) => {
    const moment = (kind: string) => b.state(`${kind}/${name}`, param.shape);
    const next = ops.adamw(
      b,
      {
        param,
        grad: gradients[i],
        m: moment("m"),
        v: moment("v"),
        steps: b.state(`steps/${name}`, []),
        clip,
        rate: b.input("rate", []),
      },
      { beta1: 0.9, beta2: 0.99, eps: 1e-6, decay: 0.1 },
    );
    b.update(name, next.param);
    b.update(`m/${name}`, next.m);
    b.update(`v/${name}`, next.v);
    b.update(`steps/${name}`, next.steps);
  });
  b.output("loss", loss);
  b.output("norm", norm);
  return b.build();
}

function names(program: Program): string[] {
  return [...new Set(program.nodes.map((node) => node.op.name))];
}

describe("expand", () => {
  const program = step();
  const composites = new Set(ops.composites.map((op) => op.name));

  test("leaves primitives alone where nothing is kept, and what is kept where something is", () => {
    expect([...composites].filter((name) => !names(program).includes(name))).toEqual([]);
    expect(names(expand(program, () => false)).filter((name) => composites.has(name))).toEqual([]);
    const kept = names(expand(program, (op) => op.name === "softmax" || op.name === "adamw"));
    expect(kept.filter((name) => composites.has(name)).sort()).toEqual(["adamw", "softmax"]);
    expect(names(expand(program, () => true))).toEqual(names(program));
  });

  test("keeps the names and types of what goes in and comes out", () => {
    const expanded = expand(program, () => false);
    for (const side of ["inputs", "states", "outputs", "updates"] as const) {
      const types = (from: Program) => [...from[side]].map(([name, { shape, dtype }]) => [name, shape, dtype]);
      expect(types(expanded)).toEqual(types(program));
    }
  });

  test("keeps what the program costs", () => {
    expect(flops(expand(program, () => false)).total).toBe(flops(program).total);
    expect(flops(expand(program, (op) => op.name === "attention")).total).toBe(flops(program).total);
  });

  test("gives the same numbers expanded in two goes", () => {
    const inputs = new Map<string, Numbers>([
      ["ids", Int32Array.of(0, 3, 3, 6, 1, 3)],
      ["labels", Int32Array.of(1, 3, 0, 0, 2, 6)],
      ["weights", Float64Array.of(0.2, 0, 0.3, 0.1, 0.1, 0.3)],
      ["rate", Float64Array.of(0.01)],
    ]);
    const states = new Map(
      [...program.states].map(([name, { shape }]) => [
        name,
        randomNumbers(
          shape.reduce((n, extent) => n * extent, 1),
          name,
          "positive",
        ),
      ]),
    );
    const whole = evaluate(program, inputs, states);
    const twice = evaluate(
      expand(program, (op) => op.name !== "attention"),
      inputs,
      states,
    );
    expect(twice).toEqual(whole);
    expect([...whole.updates.values()].every((numbers) => numbers.every(Number.isFinite))).toBe(true);
  });

  test("drops an input that only an unread output needed", () => {
    const b = new ProgramBuilder();
    const g = b.input("g", [2, 3]);
    const x = b.input("x", [2, 3]);
    const row = b.input("row", [3]);
    const column = b.input("column", [2]);
    const { dshift } = slopes.layerNormGrad(
      b,
      { g, x, gain: row, mean: column, rstd: column },
      { x: false, affine: true },
    );
    if (dshift !== null) b.output("dshift", dshift);
    expect([...expand(b.build(), () => false).inputs.keys()]).toEqual(["g"]);
  });
});

describe("flops", () => {
  test("a product of [m, k] and [k, n] is 2mnk, batched and transposed alike", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [5, 3, 4]);
    b.output("shared", ops.matmul(b, x, b.input("y", [4, 6])));
    b.output("batched", ops.matmul(b, x, b.input("z", [5, 3, 7]), { transposeX: true }));
    expect(flops(b.build()).byOp.matmul).toBe(2 * 5 * 3 * 4 * 6 + 2 * 5 * 4 * 3 * 7);
  });

  test("a dense layer, GELU and a loss, counted by hand", () => {
    const [n, k, m] = [3, 4, 5];
    const b = new ProgramBuilder();
    const x = b.input("x", [n, k]);
    const w = b.state("w", [k, m]);
    const bias = b.state("bias", [m]);
    const hidden = ops.gelu(b, ops.linear(b, x, w, bias), "erf");
    const { loss } = ops.crossEntropy(b, hidden, b.input("labels", [n], "i32"), b.input("weights", [n]));
    const [dw] = differentiate(b, loss, [w]);
    b.output("dw", dw);
    const { total, byOp } = flops(b.build());
    const elements = n * m;
    expect(byOp).toEqual({
      // The product, and the bias added to each element.
      linear: 2 * n * k * m + elements,
      // x/√2, erf, 1 +, x/2, and their product.
      gelu: 5 * elements,
      // Maximum, difference, exponential, sum; logarithm and largest of n rows; product with the one-hot rows and its
      // sum; difference, weight and sum of n rows.
      crossEntropy: 4 * elements + 2 * n + 2 * elements + 3 * n,
      constant: 0,
      // Difference, exponential, difference; n weights times the incoming gradient; the product.
      crossEntropyGrad: 3 * elements + n + elements,
      // x²; x/√2, erf, 1 +, /2; −x²/2, exponential, /√2π; times x, plus Φ, times the incoming gradient.
      geluGrad: 11 * elements,
      // dW alone.
      matmul: 2 * n * k * m,
    });
    expect(total).toBe(Object.values(byOp).reduce((sum, cost) => sum + cost));
  });

  test("moving data costs nothing", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [4, 6]);
    const turned = ops.reshape(b, ops.transpose(b, ops.pad(b, ops.slice(b, x, 0, 0, 2), 1, 1, 1), [1, 0]), [16]);
    b.output("x", ops.broadcastTo(b, ops.concat(b, [turned, turned], 0), [3, 32]));
    expect(flops(b.build()).total).toBe(0);
  });
});
