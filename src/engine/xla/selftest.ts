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
  const reference = await referenceEngine.open({ threads: 1, precision: "f32" });
  const [mine, right] = [await answers(engine), await answers(reference)];
  for (const [name, expected] of Object.entries(right)) {
    const within = name === "dropout" ? 0 : halves ? 0.02 : 2e-6;
    const apart = Math.max(...Array.from(expected, (value, i) => Math.abs(mine[name][i] - value)));
    if (!(apart <= within)) return `${name} is off by ${apart.toPrecision(2)}`;
  }
  return undefined;
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
