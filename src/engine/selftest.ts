/**
 * What must hold before a step is trusted to a library or a device: where one is broken, computes at less than full
 * precision or numbers its functions as none before it, small programs tell. Their results are held against the
 * reference engine's.
 */
import { ProgramBuilder } from "../program/builder.ts";
import { differentiate } from "../program/differentiate.ts";
import { type Shape, size, type Value } from "../program/graph.ts";
import * as ops from "../program/ops/index.ts";
import type { Engine, TensorData } from "./engine.ts";
import { referenceEngine } from "./reference/reference.ts";

/** Numbers between −1 and 1 with all digits in use. */
const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(1.7 * i + 0.3));

/** A program under construction, with what it is given. */
class Trial {
  readonly b = new ProgramBuilder();
  readonly inputs: Record<string, TensorData> = {};

  given(shape: Shape, data: TensorData = numbers(size(shape))): Value {
    const name = `input ${Object.keys(this.inputs).length}`;
    this.inputs[name] = data;
    return this.b.input(name, shape, data instanceof Int32Array ? "i32" : "f32");
  }
}

/** Adds to a program what is looked at, by its name in a message. */
export type Part = (t: Trial) => Readonly<Record<string, Value>>;

const STATE = "self-test";
/** What is exact at any precision: a product of small whole numbers, and what is kept of a pattern. */
const EXACT = ["a product of whole numbers", "a dropout pattern"] as const;

/** Products at full precision, unsigned arithmetic, updates in place. */
export const basics: Part = (t) => {
  const { b } = t;
  const x = t.given([6, 8]);
  const product = ops.matmul(b, x, t.given([8, 4]));
  b.update(STATE, ops.add(b, b.state(STATE, [6, 4]), product));
  const dropout = ops.dropoutMask(b, t.given([2], Int32Array.of(123456789, 42)), {
    ...{ shape: [5, 7], rate: 0.25, stream: STATE },
  });
  const sum = ops.reduceSum(b, x, [0]);
  const whole = ops.matmul(
    b,
    t.given([2, 2], Float32Array.of(1, 2, 3, 4)),
    t.given([2, 2], Float32Array.of(2, 0, 0, 2)),
  );
  const exact = { [EXACT[0]]: whole, [EXACT[1]]: dropout };
  return { "a product of two matrices": product, erf: ops.erf(b, x), "a sum": sum, ...exact };
};

/** A result, and its gradients by some inputs from one of its own that is given. */
function sloping(t: Trial, name: string, result: Value, by: Readonly<Record<string, Value>>) {
  const shares = ops.mul(t.b, result, t.given(result.shape));
  const slopes = differentiate(t.b, ops.reduceSum(t.b, shares, [...result.shape.keys()]), Object.values(by));
  const named = Object.keys(by).map((input, i) => [`the gradient of ${name} by ${input}`, slopes[i]] as const);
  return { [name]: result, ...Object.fromEntries(named) };
}

/** What a library has functions of its own for, and numbers for those. */
export const functions: Part = (t) => {
  const { b } = t;
  const [x, y] = [t.given([4, 8]), t.given([4, 8], numbers(64).subarray(32))];
  const [gain, shift] = [t.given([8]), t.given([8])];
  const dense = ops.linear(b, x, t.given([8, 8]), shift, { transposeWeight: true });
  const positive = ops.add(b, ops.mul(b, y, y), ops.constant(b, 0.1));
  const labels = t.given([4], Int32Array.of(1, 7, 0, 3));
  return {
    "a product with what follows it": ops.scale(b, ops.add(b, dense, y), 2),
    "a transposition": ops.transpose(b, x, [1, 0]),
    ...{ add: ops.add(b, x, y), sub: ops.sub(b, x, y), mul: ops.mul(b, x, y), div: ops.div(b, x, positive) },
    ...{ relu: ops.relu(b, x), tanh: ops.tanh(b, x), exp: ops.exp(b, x), sqrt: ops.sqrt(b, positive) },
    ...{ scale: ops.scale(b, x, 3), recip: ops.recip(b, positive) },
    ...sloping(t, "gelu", ops.gelu(b, x, "erf"), { x }),
    ...sloping(t, "gelu by tanh", ops.gelu(b, x, "tanh"), { x }),
    ...sloping(t, "silu", ops.silu(b, x), { x }),
    ...sloping(t, "a layer norm", ops.layerNorm(b, x, gain, shift, 1e-5).y, { x, gain, shift }),
    ...sloping(t, "a loss", ops.crossEntropy(b, x, labels, t.given([4])).loss, { x }),
  };
};

/** Two sequences of 64, 4 heads of 64 units; of the second only 50 are no padding, where there is some. */
const attention =
  (form: Pick<ops.AttentionOptions, "causal" | "window" | "kvHeads" | "prefix">): Part =>
  (t) => {
    const [batch, length, heads, width] = [2, 64, 4, 64];
    const { kvHeads = heads } = form;
    const [q, k, v] = [heads, kvHeads, kvHeads].map((count) => t.given([batch, length, count * width]));
    const hidden = Float32Array.from({ length: batch * length }, (_, i) => (i >= length + 50 ? -1e30 : 0));
    const bias = form.prefix === true ? t.given([batch, length], hidden) : undefined;
    return sloping(t, "attention", ops.attention(t.b, q, k, v, { heads, ...form, bias }).out, { q, k, v });
  };

/** Attention with padding, causal within a window, with heads that share keys. */
export const attentions: readonly Part[] = [
  attention({ causal: false, prefix: true }),
  attention({ causal: true, window: 40 }),
  attention({ causal: true, kvHeads: 2 }),
];

/** What the engine gets wrong, or undefined. @param within how far from the largest number of a result any may be, if not exact */
export async function selfTest(engine: Engine, within: number, parts: readonly Part[]): Promise<string | undefined> {
  const reference = await referenceEngine.open({ threads: 1, precision: "f32" });
  for (const part of parts) {
    const found = await answers(engine, part);
    for (const [name, right] of Object.entries(await answers(reference, part))) {
      const most = (each: (value: number, i: number) => number) => Math.max(...Array.from(right, each));
      const apart = most((value, i) => Math.abs(found[name][i] - value)) / Math.max(1, most(Math.abs));
      const limit = EXACT.some((one) => one === name) ? 0 : within;
      if (!(apart <= limit)) return `it gets ${name} wrong (off by ${apart.toPrecision(2)})`;
    }
  }
  return undefined;
}

/** Of a second run: what the first leaves is part of it. */
async function answers(engine: Engine, part: Part): Promise<Readonly<Record<string, TensorData>>> {
  const t = new Trial();
  for (const [name, value] of Object.entries(part(t))) t.b.output(name, value);
  const program = t.b.build();
  for (const [name, { shape }] of program.states) await engine.write(name, shape, numbers(size(shape)));
  const executable = await engine.compile(program);
  await executable.run(t.inputs);
  const outputs = await executable.run(t.inputs);
  await executable.release();
  const states = [...program.states.keys()];
  const kept = await Promise.all(
    states.map(async (name) => [`an update of ${name}`, await engine.read(name)] as const),
  );
  await engine.drop(states);
  return { ...outputs, ...Object.fromEntries(kept) };
}
