/**
 * What must hold before a step is trusted to this JAX, this XLA and this device: what differs between them (products at
 * less than full precision, unsigned arithmetic, updates in place) is held against the reference engine.
 */
import { ProgramBuilder } from "../../program/builder.ts";
import * as ops from "../../program/ops/index.ts";
import type { Engine, TensorData } from "../engine.ts";
import { referenceEngine } from "../reference/reference.ts";

/** Numbers between −1 and 1 with all digits in use. */
const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + 0.3));
const inputs = { x: numbers(48), y: numbers(32), key: Int32Array.of(123456789, 42) };
const STATE = "self-test";

/** @returns what is wrong, or undefined */
export async function selfTest(engine: Engine, halves: boolean): Promise<string | undefined> {
  return compared(await answers(engine), await answers(await reference()), (name) => {
    return name === "dropout" ? 0 : halves ? 0.02 : 2e-6;
  });
}

/** Of fused attention, with padding, causal within a window, heads that share keys. @returns what is wrong, or undefined */
export async function attentionTest(engine: Engine): Promise<string | undefined> {
  const right = await reference();
  for (const form of [
    { causal: false, prefix: true },
    { causal: true, window: 40 },
    { causal: true, kvHeads: 2 },
  ]) {
    const wrong = compared(await attended(engine, form), await attended(right, form), () => 0.02);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

const reference = () => referenceEngine.open({ threads: 1, precision: "f32" });

function compared(
  mine: Readonly<Record<string, TensorData>>,
  right: Readonly<Record<string, TensorData>>,
  within: (name: string) => number,
): string | undefined {
  for (const [name, expected] of Object.entries(right)) {
    const most = (each: (value: number, i: number) => number) => Math.max(...Array.from(expected, each));
    const apart = most((value, i) => Math.abs(mine[name][i] - value)) / Math.max(1, most(Math.abs));
    if (!(apart <= within(name))) return `${name} is off by ${apart.toPrecision(2)}`;
  }
  return undefined;
}

type Form = {
  readonly causal: boolean;
  readonly window?: number;
  readonly kvHeads?: number;
  readonly prefix?: boolean;
};

/** 2 sequences of 64, 4 heads of 64 units; of the second only 50 are no padding, where there is some. */
async function attended(engine: Engine, { prefix = false, ...form }: Form): Promise<Record<string, TensorData>> {
  const b = new ProgramBuilder();
  const [batch, length, heads, width] = [2, 64, 4, 64];
  const shape = (count: number) => [batch, length, count * width];
  const kvHeads = form.kvHeads ?? heads;
  const q = b.input("q", shape(heads));
  const [k, v] = [b.input("k", shape(kvHeads)), b.input("v", shape(kvHeads))];
  const bias = prefix ? b.input("bias", [batch, length]) : undefined;
  const { out, probs } = ops.attention(b, q, k, v, { heads, ...form, bias, prefix });
  const inputs = { g: b.input("g", shape(heads)), q, k, v, out, probs };
  const { dq, dk, dv } = ops.attentionGrad(b, inputs, { heads, kvHeads, scale: 1 / Math.sqrt(width) });
  const named = { attention: out, "a query's gradient": dq, "a key's gradient": dk, "a value's gradient": dv };
  for (const [name, value] of Object.entries(named)) b.output(name, value);
  const program = await engine.compile(b.build());
  const of = (count: number) => numbers(batch * length * count * width);
  const hidden = Float32Array.from({ length: batch * length }, (_, i) => (i >= length + 50 ? -1e30 : 0));
  const answer = await program.run({
    ...{ q: of(heads), k: of(kvHeads), v: of(kvHeads), g: of(heads) },
    ...(prefix ? { bias: hidden } : {}),
  });
  await program.release();
  return answer;
}

async function answers(engine: Engine): Promise<Record<string, TensorData>> {
  const b = new ProgramBuilder();
  const x = b.input("x", [6, 8]);
  const product = ops.matmul(b, x, b.input("y", [8, 4]));
  const state = b.state(STATE, [6, 4]);
  b.update(STATE, ops.add(b, state, product));
  b.output("a product", product);
  b.output("erf", ops.erf(b, x));
  b.output("a sum", ops.reduceSum(b, x, [0]));
  const key = b.input("key", [2], "i32");
  b.output("dropout", ops.dropoutMask(b, key, { shape: [5, 7], rate: 0.25, stream: STATE }));
  await engine.write(STATE, [6, 4], numbers(24));
  const program = await engine.compile(b.build());
  await program.run(inputs);
  const outputs = await program.run(inputs);
  await program.release();
  const result = { ...outputs, "an update": await engine.read(STATE) };
  await engine.drop([STATE]);
  return result;
}
