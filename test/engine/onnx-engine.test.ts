/** The ONNX engine as a whole: state, order, errors, and a small training step against the reference engine. */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { openEngine } from "../../src/engine/engines.ts";
import { lower } from "../../src/engine/onnx/lower.ts";
import { onnxEngine } from "../../src/engine/onnx/onnx.ts";
import { referenceEngine } from "../../src/engine/reference/reference.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { differentiate } from "../../src/program/differentiate.ts";
import type { Program, Value } from "../../src/program/graph.ts";
import * as ops from "../../src/program/ops/index.ts";
import { packageRoot } from "../../src/util/paths.ts";
import { Bench, gap, openOnnx, openReference, sameBytes } from "./compare.ts";

let onnx: Engine;
beforeAll(async () => {
  onnx = await openOnnx();
});
afterAll(() => onnx.close());

const BATCH = 3;
const LENGTH = 8;
const WIDTH = 12;
const HEADS = 3;
const VOCABULARY = 17;

/** A block of attention and a norm over embeddings, tied head, cross-entropy, clipping and AdamW. */
function trainingStep(clipAt = 0.5): { bench: Bench; program: Program; parameters: readonly string[] } {
  const t = new Bench();
  const { b } = t;
  const parameters = new Map<string, Value>();
  const parameter = (name: string, shape: readonly number[], mean = 0, std = 0.3) => {
    const value = t.state(name, shape, { mean, std });
    parameters.set(name, value);
    return value;
  };
  const key = t.given("key", [2], Int32Array.of(11, 0));
  const ids = t.ids(VOCABULARY, [BATCH * LENGTH]);
  const labels = t.ids(VOCABULARY, [BATCH * LENGTH]);
  const weights = t.between(0, 1 / (BATCH * LENGTH), [BATCH * LENGTH]);
  const table = parameter("table", [VOCABULARY, WIDTH], 0, 1);
  const x = ops.dropout(b, ops.gather(b, table, ids), key, 0.1, "embedding");
  const dense = (name: string, value: Value, inner = WIDTH, outer = WIDTH) =>
    ops.linear(b, value, parameter(`${name}.w`, [outer, inner]), parameter(`${name}.b`, [outer]), {
      transposeWeight: true,
    });
  const batched = (value: Value) => ops.reshape(b, value, [BATCH, LENGTH, WIDTH]);
  const [q, k, v] = ["q", "k", "v"].map((name) => batched(dense(name, x)));
  const mask = ops.dropoutMask(b, key, { shape: [BATCH, HEADS, LENGTH, LENGTH], rate: 0.1, stream: "probabilities" });
  const { out } = ops.attention(b, q, k, v, { heads: HEADS, causal: true, mask });
  const summed = ops.add(b, x, dense("o", ops.reshape(b, out, [BATCH * LENGTH, WIDTH])));
  const norm = ops.layerNorm(b, summed, parameter("gain", [WIDTH], 1, 0.1), parameter("shift", [WIDTH]), 1e-5).y;
  const inner = ops.gelu(b, dense("up", norm, WIDTH, 2 * WIDTH), "erf");
  const hidden = ops.add(b, norm, dense("down", inner, 2 * WIDTH, WIDTH));
  const { loss } = ops.crossEntropy(b, ops.matmul(b, hidden, table, { transposeY: true }), labels, weights);

  const gradients = differentiate(b, loss, [...parameters.values()]);
  const norms = ops.globalNorm(b, gradients);
  // min(1, limit / norm)
  const ratio = ops.div(b, ops.constant(b, clipAt), norms);
  const clip = ops.sub(b, ratio, ops.relu(b, ops.sub(b, ratio, ops.constant(b, 1))));
  const rate = t.given("rate", [], Float32Array.of(0.01));
  [...parameters].forEach(([name, param], i) => {
    const m = t.state(`m/${name}`, param.shape, { std: 0 });
    const v = t.state(`v/${name}`, param.shape, { std: 0 });
    const steps = t.state(`steps/${name}`, [], { std: 0 });
    const next = ops.adamw(
      b,
      { param, grad: gradients[i], m, v, steps, clip, rate },
      { beta1: 0.9, beta2: 0.999, eps: 1e-6, decay: 0.01 },
    );
    b.update(name, next.param);
    b.update(`m/${name}`, next.m);
    b.update(`v/${name}`, next.v);
    b.update(`steps/${name}`, next.steps);
  });
  b.output("loss", loss);
  b.output("norm", norms);
  return { bench: t, program: b.build(), parameters: [...parameters.keys()] };
}

/** Runs some steps and gives the losses, the norms and the states at the end. */
async function train(engine: Engine, steps: number) {
  const { bench, program } = trainingStep();
  await bench.load(engine);
  const step = await engine.compile(program);
  const seen: number[] = [];
  for (let i = 0; i < steps; i++) {
    const { loss, norm } = await step.run({ ...bench.inputs, key: Int32Array.of(11, i) });
    seen.push(loss[0], norm[0]);
  }
  await step.release();
  const states = new Map<string, Float32Array>();
  for (const name of Object.keys(bench.states)) states.set(name, Float32Array.from(await engine.read(name)));
  return { seen: Float32Array.from(seen), states };
}

test("five training steps as the reference takes them", async () => {
  const reference = await openReference();
  const [mine, theirs] = [await train(onnx, 5), await train(reference, 5)];
  expect(gap(mine.seen, theirs.seen)).toBeLessThan(1e-6);
  expect(mine.states.size).toBeGreaterThan(50);
  for (const [name, expected] of theirs.states) {
    // Key biases have no gradient but rounding, and AdamW makes full steps of it.
    if (name.endsWith("k.b")) continue;
    expect([name, gap(mine.states.get(name) ?? new Float32Array(), expected) < 2e-5]).toEqual([name, true]);
  }
});

test("the same program, state, inputs and threads give the same bytes", async () => {
  const other = await openOnnx();
  const [first, second] = [await train(onnx, 3), await train(other, 3)];
  await other.close();
  expect(sameBytes(first.seen, second.seen)).toBe(true);
  for (const [name, data] of first.states) expect(sameBytes(data, second.states.get(name) ?? data)).toBe(true);
});

test("no parameter and no moment leaves the worker in a training step", () => {
  const { program, parameters } = trainingStep();
  const plan = lower(program);
  expect(plan.commits).toEqual([]);
  expect(plan.outputs.map(({ name }) => name)).toEqual(["loss", "norm"]);
  const fetched = plan.steps.flatMap((step) => (step.kind === "graph" ? step.fetches : []));
  const bytes = (shapes: readonly (readonly number[])[]) =>
    shapes.reduce((sum, shape) => sum + shape.reduce((n, extent) => n * extent, 1), 0);
  const gradients = bytes(parameters.map((name) => program.states.get(name)?.shape ?? []));
  // A gradient for each parameter, the squares of all but the table's added up along its rows, the gradient of the
  // embedded rows, the loss and the clipping factor: nothing else comes out.
  const others = parameters.filter((name) => name !== "table");
  const squares = bytes(others.map((name) => (program.states.get(name)?.shape ?? []).slice(0, -1)));
  expect(bytes(fetched.map(({ tensor }) => tensor.shape))).toBe(gradients + squares + BATCH * LENGTH * WIDTH + 2);
  const inPlace = plan.steps.flatMap((step) =>
    step.kind === "host" && step.op === "adamw" ? step.outputs.map(({ place }) => place.at) : [],
  );
  expect(inPlace).toEqual(Array(parameters.length * 4).fill("state"));
});

test("a table's gradient is gathered on the host, where it is read", () => {
  const { program } = trainingStep();
  const operations = lower(program).steps.flatMap((step) => (step.kind === "host" ? [step.op] : []));
  expect(operations).toContain("scatterAdd");
  // Onto the head's share, which the graph gave.
  expect(operations).not.toContain("add");
  // Where a graph reads it, it stays in the graph.
  const b = new ProgramBuilder();
  const table = ops.scatterAdd(b, b.input("ids", [3], "i32"), b.input("rows", [3, 2]), 4);
  b.output("squares", ops.mul(b, table, table));
  expect(lower(b.build()).steps.map(({ kind }) => kind)).toEqual(["graph"]);
});

test("two programs share state", async () => {
  const shape = [4];
  await onnx.write("total", shape, new Float32Array(4));
  const counting = new ProgramBuilder();
  counting.update("total", ops.add(counting, counting.state("total", shape), counting.input("x", shape)));
  const emptying = new ProgramBuilder();
  emptying.output("was", emptying.state("total", shape));
  emptying.update("total", ops.constant(emptying, 0, shape));
  emptying.state("total", shape);
  const count = await onnx.compile(counting.build());
  const empty = await onnx.compile(emptying.build());
  const x = Float32Array.of(1, 2, 3, 4);
  await Promise.all([count.run({ x }), count.run({ x })]);
  expect(await onnx.read("total")).toEqual(Float32Array.of(2, 4, 6, 8));
  expect((await empty.run({})).was).toEqual(Float32Array.of(2, 4, 6, 8));
  expect(await onnx.read("total")).toEqual(new Float32Array(4));
  await count.release();
  await empty.release();
});

test("updates see the states as they were before the run", async () => {
  const b = new ProgramBuilder();
  const [x, y] = [b.state("x", [2]), b.state("y", [2])];
  b.update("x", y);
  b.update("y", ops.add(b, x, y));
  b.output("sum", ops.add(b, x, y));
  b.output("x before", x);
  const [p, q] = [b.state("p", [2]), b.state("q", [2])];
  // Both accumulate in place; q's reading of p comes after p's own update in the program.
  b.update("p", ops.add(b, p, y));
  b.update("q", ops.add(b, q, p));
  for (const [name, data] of Object.entries({ x: [1, 2], y: [3, 4], p: [10, 10], q: [100, 100] })) {
    await onnx.write(name, [2], Float32Array.from(data));
  }
  const swap = await onnx.compile(b.build());
  const outputs = await swap.run({});
  expect(outputs.sum).toEqual(Float32Array.of(4, 6));
  expect(outputs["x before"]).toEqual(Float32Array.of(1, 2));
  const after = await Promise.all(["x", "y", "p", "q"].map((name) => onnx.read(name)));
  expect(after.map((data) => [...data])).toEqual([
    [3, 4],
    [4, 6],
    [13, 14],
    [110, 110],
  ]);
  await swap.release();
  await onnx.drop(["x", "y", "p", "q"]);
});

test("tensors are written, read, replaced, listed and dropped; a copy stays a copy", async () => {
  const data = Float32Array.of(1, 2, 3);
  const writing = onnx.write("kept", [3], data);
  data[0] = 9;
  await writing;
  const read = await onnx.read("kept");
  expect(read).toEqual(Float32Array.of(1, 2, 3));
  read[1] = 7;
  expect(await onnx.read("kept")).toEqual(Float32Array.of(1, 2, 3));
  await onnx.write("kept", [2, 1], Int32Array.of(-5, 6));
  expect(await onnx.read("kept")).toEqual(Int32Array.of(-5, 6));
  expect(onnx.names()).toContain("kept");
  await onnx.drop(["kept", "never there"]);
  expect(onnx.names()).not.toContain("kept");
  await expect(onnx.read("kept")).rejects.toThrow("holds no tensor kept");
  await expect(onnx.write("odd", [4], data)).rejects.toThrow("needs 4 numbers, not 3");
});

test("what is wrong with a run is said, and the engine goes on", async () => {
  const b = new ProgramBuilder();
  const table = b.state("a table", [4, 2]);
  b.output("rows", ops.gather(b, table, b.input("ids", [3], "i32")));
  const rows = await onnx.compile(b.build());
  const ids = Int32Array.of(0, 1, 2);
  await expect(rows.run({ ids })).rejects.toThrow("holds no tensor a table");
  await onnx.write("a table", [2, 4], new Float32Array(8));
  await expect(rows.run({ ids })).rejects.toThrow("state a table is f32 [2,4], the program's f32 [4,2]");
  await onnx.write("a table", [4, 2], Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
  await expect(rows.run({})).rejects.toThrow("input ids is missing");
  await expect(rows.run({ ids: Int32Array.of(1) })).rejects.toThrow("must be 3 numbers of i32");
  await expect(rows.run({ ids: Float32Array.of(1, 2, 3) })).rejects.toThrow("must be 3 numbers of i32");
  await expect(rows.run({ ids: Int32Array.of(0, 4, 0) })).rejects.toThrow(/gather.*out of/is);
  expect((await rows.run({ ids })).rows).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
  await rows.release();
  await expect(rows.run({ ids })).rejects.toThrow("released");
});

test("a run that fails among its updates leaves a state that is refused", async () => {
  const engine = await openOnnx(1);
  const b = new ProgramBuilder();
  const x = b.input("x", [2]);
  // The sum is made in place before the graph runs into the id.
  b.update("sum", ops.add(b, b.state("sum", [2]), x));
  b.output("rows", ops.gather(b, b.state("table", [2, 2]), b.input("ids", [1], "i32")));
  await engine.write("sum", [2], new Float32Array(2));
  await engine.write("table", [2, 2], new Float32Array(4));
  const both = await engine.compile(b.build());
  const inputs = { x: Float32Array.of(1, 2), ids: Int32Array.of(7) };
  await expect(both.run(inputs)).rejects.toThrow("out of");
  await expect(both.run({ ...inputs, ids: Int32Array.of(0) })).rejects.toThrow("unusable since a run failed");
  await expect(engine.read("sum")).rejects.toThrow("unusable since a run failed");
  await engine.close();
});

test("a closed engine answers nothing, and closing twice is no harm", async () => {
  const engine = await openOnnx(1);
  await engine.close();
  await engine.close();
  await expect(engine.read("x")).rejects.toThrow("closed");
});

test("a process may end in the middle of a run", () => {
  const script = [
    `const dist = ${JSON.stringify(`file://${packageRoot()}dist/`)};`,
    `const { openEngine } = await import(dist + "engine/engines.js");`,
    `const { ProgramBuilder } = await import(dist + "program/builder.js");`,
    `const { matmul } = await import(dist + "program/ops/index.js");`,
    `const engine = await openEngine({ kind: "onnx", threads: 1, precision: "auto" });`,
    `const b = new ProgramBuilder();`,
    `const x = b.input("x", [900, 900]);`,
    `b.output("y", matmul(b, x, x));`,
    `const square = await engine.compile(b.build());`,
    `const inputs = { x: new Float32Array(810000) };`,
    `await square.run(inputs);`,
    `for (let i = 0; i < 20; i++) void square.run(inputs);`,
    `setTimeout(() => process.exit(3), 30);`,
  ].join("\n");
  const done = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  expect([done.status, done.stderr]).toEqual([3, ""]);
});

test("engines are chosen by kind", async () => {
  const onThreads = (kind: string, threads: number) => openEngine({ kind, threads, precision: "auto" });
  await expect(onThreads("onix", 2)).rejects.toThrow("did you mean `onnx`?");
  await expect(onThreads("onnx", 0)).rejects.toThrow("at least 1");
  await expect(openEngine({ kind: "onnx", threads: 1, precision: "bf16" })).rejects.toThrow("no bf16");
  expect(onnx.description).toMatch(/^onnxruntime-node 1\.\d+\.\d+, f32, 2 threads$/);
  for (const kind of [onnxEngine, referenceEngine]) expect((await kind.probe()).usable).toBe(true);
});
