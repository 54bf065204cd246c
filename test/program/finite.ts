/** Finite differences: what a gradient is held against, in float64 on the reference engine. */
import { run, toPrimitives } from "../../src/engine/reference/evaluate.ts";
import type { Numbers } from "../../src/engine/reference/kernels.ts";
import { ProgramBuilder } from "../../src/program/builder.ts";
import { differentiate } from "../../src/program/differentiate.ts";
import { type Shape, size, type Value } from "../../src/program/graph.ts";
import { mul, reduceSum } from "../../src/program/ops/index.ts";
import { RandomStream } from "../../src/util/random.ts";

export interface DifferentiableCase {
  readonly name: string;
  /** Shapes of the real inputs that the gradient is taken by. */
  readonly shapes: readonly Shape[];
  /** Where the numbers lie: all of the line, above 0.2, or at least 0.2 away from 0; default all. */
  readonly domain?: "all" | "positive" | "away from 0";
  /** Inputs that are only there: indices, and real numbers without a gradient. */
  readonly given?: readonly { readonly shape: Shape; readonly numbers: readonly number[]; readonly dtype?: "f32" }[];
  build(b: ProgramBuilder, xs: readonly Value[], given: readonly Value[]): Value;
}

interface Built {
  readonly b: ProgramBuilder;
  readonly xs: readonly Value[];
  readonly result: Value;
  readonly loss: Value;
}

/** The case with a scalar at its end: the sum of its result's elements, each with a weight of its own. */
export function buildCase(entry: DifferentiableCase): Built {
  const b = new ProgramBuilder();
  const xs = entry.shapes.map((shape, i) => b.input(`x${i}`, shape));
  const given = (entry.given ?? []).map(({ shape, dtype }, i) => b.input(`given${i}`, shape, dtype ?? "i32"));
  const result = entry.build(b, xs, given);
  const weighted = mul(b, result, b.input("weights", result.shape));
  return { b, xs, result, loss: reduceSum(b, weighted, [...result.shape.keys()]) };
}

export function randomNumbers(
  count: number,
  stream: string,
  domain: DifferentiableCase["domain"] = "all",
): Float64Array {
  const random = new RandomStream(1, stream);
  return Float64Array.from({ length: count }, (_, i) => {
    const x = random.normal(i);
    if (domain === "all") return x;
    const away = Math.abs(x) + 0.2;
    return domain === "away from 0" && x < 0 ? -away : away;
  });
}

/**
 * The largest difference between the program's gradients and central differences, relative to the largest entry (or 1),
 * and whether gradients asked for one at a time are the same numbers as those asked for together.
 */
export function compareWithDifferences(entry: DifferentiableCase): { error: number; oneByOne: boolean } {
  const { b, xs, result, loss } = buildCase(entry);
  differentiate(b, loss, xs).forEach((gradient, i) => {
    b.output(`gradient${i}`, gradient);
  });
  xs.forEach((x, i) => {
    b.output(`alone${i}`, differentiate(b, loss, [x])[0]);
  });
  b.output("loss", loss);
  const inputs = new Map<string, Numbers>();
  entry.shapes.forEach((shape, i) => {
    inputs.set(`x${i}`, randomNumbers(size(shape), `${entry.name} ${i}`, entry.domain));
  });
  (entry.given ?? []).forEach(({ numbers, dtype }, i) => {
    inputs.set(`given${i}`, dtype === "f32" ? Float64Array.from(numbers) : Int32Array.from(numbers));
  });
  inputs.set("weights", randomNumbers(size(result.shape), `${entry.name} weights`));

  const program = toPrimitives(b.build());
  const { outputs } = run(program, inputs, new Map());
  const lossOnly = new Map([...program.outputs].filter(([name]) => name === "loss"));
  const valueAt = (name: string, numbers: Float64Array) =>
    run({ ...program, outputs: lossOnly }, new Map(inputs).set(name, numbers), new Map()).outputs.get("loss")?.[0] ??
    NaN;

  let error = 0;
  let oneByOne = true;
  entry.shapes.forEach((_, i) => {
    const name = `x${i}`;
    const at = Float64Array.from(inputs.get(name) ?? []);
    const gradient = Float64Array.from(outputs.get(`gradient${i}`) ?? []);
    const alone = outputs.get(`alone${i}`);
    const scale = gradient.reduce((largest, g) => Math.max(largest, Math.abs(g)), 1);
    gradient.forEach((g, j) => {
      const step = 1e-5;
      const higher = valueAt(name, at.with(j, at[j] + step));
      const lower = valueAt(name, at.with(j, at[j] - step));
      error = Math.max(error, Math.abs((higher - lower) / (2 * step) - g) / scale);
      if (alone?.[j] !== g) oneByOne = false;
    });
  });
  return { error, oneByOne };
}
