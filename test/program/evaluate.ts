/** Any program in float64. */
import { run, toPrimitives } from "../../src/engine/reference/evaluate.ts";
import type { Numbers } from "../../src/engine/reference/kernels.ts";
import type { Program } from "../../src/program/graph.ts";

type Named = ReadonlyMap<string, Numbers>;

export function evaluate(program: Program, inputs: Named, states: Named = new Map()) {
  return run(toPrimitives(program), inputs, states);
}
