/** The oneDNN engine's plans, which need no library: memory shared only by what lives at different times. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planOf } from "../../src/engine/onednn/engine.ts";
import { layOut } from "../../src/engine/onednn/planner.ts";
import { windowsOf } from "../../src/engine/onednn/steps.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import * as ops from "../../src/program/ops/index.ts";

test("buffers alive at the same time never share a byte", () => {
  const buffer = fc
    .record({ bytes: fc.integer({ min: 4, max: 5000 }), first: fc.nat(30), length: fc.nat(10) })
    .map(({ bytes, first, length }) => ({ bytes, first, last: first + length }));
  fc.assert(
    fc.property(fc.array(buffer, { maxLength: 40 }), (buffers) => {
      const { offsets, scratchBytes } = layOut(buffers);
      buffers.forEach((a, i) => {
        expect(offsets[i] % 64).toBe(0);
        expect(offsets[i] + a.bytes).toBeLessThanOrEqual(scratchBytes);
        buffers.forEach((b, j) => {
          if (j <= i || a.last < b.first || b.last < a.first) return;
          const apart = offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i];
          expect(apart).toBe(true);
        });
      });
    }),
  );
});

describe("what follows a product goes with it", () => {
  const build = (kept: boolean) => {
    const b = new ProgramBuilder();
    const [x, residual] = [b.input("x", [8, 4]), b.input("residual", [8, 6])];
    const product = ops.linear(b, x, b.state("w", [4, 6]), b.state("bias", [6]));
    b.output("y", ops.add(b, product, residual));
    if (kept) b.output("product", product);
    return planOf(b.build());
  };
  test("a residual that nothing else needs the product without", () => {
    expect(build(false).steps.map((step) => step.do)).toEqual(["matmul"]);
  });
  test("but not where the product itself is asked for", () => {
    expect(build(true).steps.map((step) => step.do)).toEqual(["matmul", "binary"]);
  });
});

describe("rows of a second operand that fall into one set of a cache", () => {
  const build = (rows: number, inner: number, width: number, transposeY = false) => {
    const b = new ProgramBuilder();
    const weight = b.state("w", transposeY ? [width, inner] : [inner, width]);
    b.output("y", ops.matmul(b, b.input("x", [rows, inner]), weight, { transposeY }));
    return planOf(b.build());
  };
  test.each([
    [512, 768, 3072],
    [128, 256, 5120],
  ])("are spread: %i rows by [%i, %i]", (...sizes) => {
    const { steps } = build(...sizes);
    expect(steps.map((step) => step.do)).toEqual(["reorder", "matmul"]);
    const product = steps.find((step) => step.do === "matmul");
    expect(product?.b.strides).toEqual([sizes[2] + 16, 1]);
    expect(product?.b.dims).toEqual(sizes.slice(1));
  });
  test.each([
    ["a power of two apart, which oneDNN sees", 512, 768, 4096, false],
    ["that don't alias", 512, 768, 768, false],
    ["which are columns", 512, 3072, 768, true],
    ["that few rows are multiplied with", 64, 768, 3072, false],
    ["of which there are few", 512, 64, 3072, false],
  ])("are left where they are: rows %s", (_, ...sizes) => {
    expect(build(...sizes).steps.map((step) => step.do)).toEqual(["matmul"]);
  });
});

describe("rows that are looked up and added to another share of a gradient", () => {
  const build = (others: "none" | "reader" | "name") => {
    const b = new ProgramBuilder();
    const share = ops.matmul(b, b.input("x", [7, 3]), b.input("y", [3, 6]));
    const rows = ops.scatterAdd(b, b.input("ids", [9], "i32"), b.input("rows", [9, 6]), 7);
    b.output("sum", ops.add(b, rows, share));
    if (others === "reader") b.output("norm", ops.globalNorm(b, [share]));
    if (others === "name") b.output("norm", ops.globalNorm(b, [ops.reshape(b, share, [42])]));
    return planOf(b.build()).steps.map((step) => (step.do === "kernel" ? step.name : step.do));
  };
  test("are added where it lies", () => {
    expect(build("none")).toEqual(["matmul", "scatterAddColumns"]);
  });
  test.each(["reader", "name"] as const)("but not where it is still wanted as it was (another %s)", (others) => {
    expect(build(others)).toContain("binary");
  });
});

test("AdamW works on the engine's own tensors, and on a copy where the old ones are still read", () => {
  const build = (readAfter: boolean) => {
    const b = new ProgramBuilder();
    const state = (name: string) => b.state(name, [4]);
    const [clip, rate, grad] = [b.input("clip", []), b.input("rate", []), b.input("grad", [4])];
    const settings = { beta1: 0.9, beta2: 0.999, eps: 1e-6, decay: 0 };
    const inputs = { param: state("p"), grad, m: state("m"), v: state("v"), steps: b.state("t", []), clip, rate };
    const next = ops.adamw(b, inputs, settings);
    b.update("p", next.param);
    b.update("m", next.m);
    b.update("v", next.v);
    b.update("t", next.steps);
    if (readAfter) b.output("old", ops.scale(b, state("p"), 2));
    return planOf(b.build());
  };
  expect(build(false).steps.every((step) => step.do === "kernel")).toBe(true);
  const copied = build(true).steps;
  expect(copied.filter((step) => step.do === "reorder").length).toBeGreaterThan(0);
  const written = copied.flatMap((step) => (step.do === "kernel" ? windowsOf(step) : []));
  expect(written.some(({ base }) => "state" in base && base.state === "p")).toBe(false);
});
