/** What differentiation adds to a program, by counting operations. */
import { describe, expect, test } from "vitest";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { differentiate } from "../../src/program/differentiate.ts";
import { type Program, ProgramError } from "../../src/program/graph.ts";
import {
  constantOp,
  linear,
  mul,
  neg,
  reduceMax,
  reduceSum,
  relu,
  stopGradient,
  sub,
  tanh,
} from "../../src/program/ops/index.ts";

function counts(nodes: Program["nodes"]): Record<string, number> {
  const byName: Record<string, number> = {};
  for (const node of nodes) byName[node.op.name] = (byName[node.op.name] ?? 0) + 1;
  return byName;
}

/** The operations that differentiation added. */
function added(b: ProgramBuilder, differentiating: () => void): Record<string, number> {
  const before = b.nodes.length;
  differentiating();
  return counts(b.nodes.slice(before));
}

describe("differentiate", () => {
  test("computes nothing below what is asked for", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [3, 4]);
    const w1 = b.state("w1", [4, 5]);
    const w2 = b.state("w2", [5, 2]);
    const hidden = tanh(b, linear(b, x, w1, null));
    const loss = reduceSum(b, linear(b, hidden, w2, null), [0, 1]);
    // dW2 alone: the seed, its broadcast and one product; neither dx nor tanh's gradient.
    expect(added(b, () => differentiate(b, loss, [w2]))).toEqual({ constant: 1, broadcastTo: 1, matmul: 1 });
    // dW1 as well, without dx: one product back to the hidden units, one for dW1.
    const both = added(b, () => differentiate(b, loss, [w1, w2]));
    expect(both).toEqual({ constant: 1, broadcastTo: 1, matmul: 3, mul: 2, sub: 1 });
  });

  test("visits only nodes that lead to the loss", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [4]);
    tanh(b, neg(b, x));
    const loss = reduceSum(b, neg(b, x), [0]);
    expect(added(b, () => differentiate(b, loss, [x]))).toEqual({ constant: 1, broadcastTo: 1, neg: 1 });
  });

  test("does nothing below stopGradient", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [4]);
    const y = b.input("y", [4]);
    const loss = reduceSum(b, mul(b, stopGradient(b, tanh(b, x)), y), [0]);
    let gradients = differentiate(b, loss, [y]);
    const both = added(b, () => {
      gradients = differentiate(b, loss, [x, y]);
    });
    // The seed and the zeros for x; the broadcast and the one product for y.
    expect(both).toEqual({ constant: 2, broadcastTo: 1, mul: 1 });
    const [zeros] = gradients;
    const node = b.producer(zeros);
    expect(node?.op.name).toBe(constantOp.name);
    expect(node?.attrs).toEqual({ value: 0, shape: [4] });
  });

  test("adds what several readers contribute", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [4]);
    const loss = reduceSum(b, sub(b, relu(b, x), neg(b, x)), [0]);
    expect(added(b, () => differentiate(b, loss, [x])).add).toBe(1);
  });

  test("refuses what has no gradient", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [4]);
    const ids = b.input("ids", [4], "i32");
    expect(() => differentiate(b, reduceMax(b, x, [0]), [x])).toThrow(ProgramError);
    expect(() => differentiate(b, x, [x])).toThrow(/scalar/);
    expect(() => differentiate(b, reduceSum(b, x, [0]), [ids])).toThrow(/real/);
  });

  test("gives 1 for the loss itself and zeros where it does not depend", () => {
    const b = new ProgramBuilder();
    const x = b.input("x", [4]);
    const loss = reduceSum(b, x, [0]);
    const [one, zero] = differentiate(b, loss, [loss, b.input("y", [2, 3])]);
    expect(b.producer(one)?.attrs).toEqual({ value: 1, shape: [] });
    expect(b.producer(zero)?.attrs).toEqual({ value: 0, shape: [2, 3] });
  });
});
