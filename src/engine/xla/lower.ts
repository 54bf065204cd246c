/**
 * From a tensor program to the text of a StableHLO module: its arguments are the states, then the inputs; its results
 * the updates, then the outputs.
 */
import { expand } from "../../program/expand.ts";
import { type Program, ProgramError, type Type, type Value } from "../../program/graph.ts";
import { Emitter, type Ref, typeOf, typeText } from "./emitter.ts";
import { axes } from "./lower/axes.ts";
import { dropout } from "./lower/dropout.ts";
import { elementwise } from "./lower/elementwise.ts";
import type { Lowering, Precision } from "./lower/lowering.ts";
import { products } from "./lower/products.ts";
import { rows } from "./lower/rows.ts";

/** What has no entry is expanded. */
const lowerings: ReadonlyMap<string, Lowering> = new Map(
  Object.entries({ ...elementwise, ...axes, ...products, ...rows, ...dropout }),
);

/** An argument or a result. */
export interface Leaf extends Type {
  readonly name: string;
}

export interface Module {
  readonly text: string;
  readonly states: readonly Leaf[];
  readonly inputs: readonly Leaf[];
  /** The names of the states that change. */
  readonly updates: readonly string[];
  readonly outputs: readonly Leaf[];
  /** Inputs that number the rows of tables: how many rows the smallest has. */
  readonly rows: ReadonlyMap<string, number>;
}

/** @throws ProgramError if an operation has neither a lowering nor an expansion */
export function lower(source: Program, precision: Precision): Module {
  const program = expand(source, ({ name }) => lowerings.has(name));
  const e = new Emitter();
  const values = new Map<number, Ref>();
  const found = ({ id }: Value): Ref => {
    const ref = values.get(id);
    if (ref === undefined) throw new ProgramError("a value is read before it is made");
    return ref;
  };
  const leaf = ([name, { dtype, shape }]: [string, Value]): Leaf => ({ name, dtype, shape });
  const leaves = [...program.states, ...program.inputs];
  leaves.forEach(([, { id, dtype, shape }], i) => {
    values.set(id, { name: `%arg${i}`, element: dtype, shape });
  });
  for (const node of program.nodes) {
    const lowering = lowerings.get(node.op.name);
    if (lowering === undefined) throw new ProgramError(`the XLA engine has no lowering for ${node.op.name}`);
    const made = lowering(e, node, node.inputs.map(found), precision);
    node.outputs.forEach(({ id }, i) => {
      values.set(id, made[i]);
    });
  }
  const results = [...program.updates.values(), ...program.outputs.values()].map(found);
  const types = results.map(typeOf).join(", ");
  const heads = leaves.map(([, { dtype, shape }], i) => `%arg${i}: ${typeText(dtype, shape)}`);
  const text = [
    "module @program {",
    `  func.func public @main(${heads.join(", ")}) -> (${types}) {`,
    ...e.lines,
    `    return ${results.map(({ name }) => name).join(", ")} : ${types}`,
    "  }",
    "}",
    "",
  ].join("\n");
  return {
    text,
    states: [...program.states].map(leaf),
    inputs: [...program.inputs].map(leaf),
    updates: [...program.updates.keys()],
    outputs: [...program.outputs].map(leaf),
    rows: tables(program),
  };
}

/** By operation: which input numbers rows, and of how many. */
const numbering: Readonly<
  Record<string, { readonly ids: number; rows(inputs: readonly Type[], output: Type): number }>
> = {
  gather: { ids: 1, rows: ([table]) => table.shape[0] },
  scatterAdd: { ids: 0, rows: (_inputs, { shape }) => shape[0] },
  oneHot: { ids: 0, rows: (_inputs, { shape }) => shape[1] },
};

function tables(program: Program): ReadonlyMap<string, number> {
  const least = new Map<number, number>();
  const atMost = ({ id }: Value, count: number) => least.set(id, Math.min(count, least.get(id) ?? count));
  for (const { op, inputs, outputs } of [...program.nodes].reverse()) {
    const read = numbering[op.name];
    if (read !== undefined) atMost(inputs[read.ids], read.rows(inputs, outputs[0]));
    const count = least.get(outputs[0].id);
    if (op.name === "reshape" && count !== undefined) atMost(inputs[0], count);
  }
  return new Map(
    [...program.inputs].flatMap(([name, { id }]) => {
      const count = least.get(id);
      return count === undefined ? [] : [[name, count] as const];
    }),
  );
}
