/** The reference engine as an engine: state, updates, and what it refuses. */
import { describe, expect, test } from "vitest";
import type { EngineSettings } from "../../src/engine/engine.ts";
import { kernels } from "../../src/engine/reference/kernels.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { add, argmax, mul, primitives, scale, sub } from "../../src/program/ops/index.ts";
import { UserError } from "../../src/util/errors.ts";

const settings: EngineSettings = { threads: 1, precision: "auto" };

test("it knows every primitive", () => {
  expect([...kernels.keys()].sort()).toEqual(primitives.map((op) => op.name).sort());
});

test("it can run anywhere, but not in bf16", async () => {
  expect((await referenceEngine.probe()).usable).toBe(true);
  await expect(referenceEngine.open({ threads: 1, precision: "bf16" })).rejects.toThrow(UserError);
});

describe("state", () => {
  test("is read before it is written: two states change places", async () => {
    const b = new ProgramBuilder();
    const x = b.state("x", [2]);
    const y = b.state("y", [2]);
    b.update("x", y);
    b.update("y", scale(b, x, 10));
    b.output("before", sub(b, x, y));
    const engine = await referenceEngine.open(settings);
    await engine.write("x", [2], Float32Array.of(1, 2));
    await engine.write("y", [2], Float32Array.of(3, 4));
    const executable = await engine.compile(b.build());
    expect((await executable.run({})).before).toEqual(Float32Array.of(-2, -2));
    expect(await engine.read("x")).toEqual(Float32Array.of(3, 4));
    expect(await engine.read("y")).toEqual(Float32Array.of(10, 20));
    expect((await executable.run({})).before).toEqual(Float32Array.of(-7, -16));
    await engine.close();
  });

  test("is shared by programs, copied in and out, and kept in float64 between runs", async () => {
    const engine = await referenceEngine.open(settings);
    const adding = new ProgramBuilder();
    adding.update("sum", add(adding, adding.state("sum", []), adding.input("x", [])));
    const scaling = new ProgramBuilder();
    scaling.output("scaled", scale(scaling, scaling.state("sum", []), 1e9));
    const one = Float32Array.of(1);
    await engine.write("sum", [], one);
    one[0] = 5;
    const executable = await engine.compile(adding.build());
    // 1e-9 is lost beside 1 in f32.
    await executable.run({ x: Float32Array.of(1e-9) });
    await executable.run({ x: Float32Array.of(-1) });
    const { scaled } = await (await engine.compile(scaling.build())).run({});
    expect(scaled[0]).toBeCloseTo(1, 5);
    (await engine.read("sum"))[0] = 7;
    expect((await engine.read("sum"))[0]).toBeCloseTo(1e-9, 15);
    expect(engine.names()).toEqual(["sum"]);
    await engine.drop(["sum"]);
    expect(engine.names()).toEqual([]);
    await expect(engine.read("sum")).rejects.toThrow(/no tensor sum/);
    await expect(executable.run({ x: Float32Array.of(1) })).rejects.toThrow(/no tensor sum/);
  });
});

test("outputs are f32 or i32, a state's copy included", async () => {
  const b = new ProgramBuilder();
  const x = b.state("x", [2, 2]);
  b.output("best", argmax(b, x));
  b.output("same", x);
  const engine = await referenceEngine.open(settings);
  await engine.write("x", [2, 2], Float32Array.of(1, 2, 4, 3));
  const executable = await engine.compile(b.build());
  const { best, same } = await executable.run({});
  expect(best).toEqual(Int32Array.of(1, 0));
  same[0] = 99;
  expect((await executable.run({})).same).toEqual(Float32Array.of(1, 2, 4, 3));
});

test("what does not fit is refused, and nothing changes", async () => {
  const b = new ProgramBuilder();
  b.update("x", mul(b, b.state("x", [2]), b.input("factor", [2])));
  const engine = await referenceEngine.open(settings);
  await expect(engine.write("x", [2], Float32Array.of(1))).rejects.toThrow(/needs 2 numbers/);
  await engine.write("x", [2], Float32Array.of(1, 2));
  const executable = await engine.compile(b.build());
  await expect(executable.run({})).rejects.toThrow(/factor is missing/);
  await expect(executable.run({ factor: Float32Array.of(1) })).rejects.toThrow(/factor must be 2 numbers/);
  await expect(executable.run({ factor: Int32Array.of(1, 2) })).rejects.toThrow(/f32/);
  expect(await engine.read("x")).toEqual(Float32Array.of(1, 2));
  await engine.write("x", [1, 2], Float32Array.of(1, 2));
  await expect(executable.run({ factor: Float32Array.of(1, 2) })).rejects.toThrow(/\[1,2\]/);
});
