/**
 * From a tensor program to the text of a StableHLO module: its arguments are the states, then the inputs; its results
 * the updates, then the outputs.
 */
import { expand } from "../../program/expand.ts";
import {
  type Builder,
  type Node,
  type Program,
  ProgramError,
  sameShape,
  type Type,
  type Value,
} from "../../program/graph.ts";
import { isOf } from "../../program/ops/index.ts";
import { usesOf } from "../../program/uses.ts";
import type { Layout } from "../engine.ts";
import { Emitter, type Ref, typeOf, typeText } from "./emitter.ts";
import { FusedAttention, fusedNodes } from "./fused.ts";
import { axes } from "./lower/axes.ts";
import { dropout } from "./lower/dropout.ts";
import { elementwise } from "./lower/elementwise.ts";
import type { Lowering, Precision } from "./lower/lowering.ts";
import { norms } from "./lower/norms.ts";
import { products } from "./lower/products.ts";
import { rows } from "./lower/rows.ts";
import {
  devicesOf,
  everywhere,
  isWhole,
  laid,
  type Mesh,
  meshText,
  ofParts,
  readersOfWhole,
  type Split,
  splitOfState,
} from "./mesh.ts";
import { moves, storedAsHalves } from "./storage.ts";

/** What has no entry is expanded, in place. */
const lowerings: ReadonlyMap<string, Lowering> = new Map(
  Object.entries({ ...elementwise, ...axes, ...products, ...norms, ...rows, ...dropout }),
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
  /** Inputs that number the rows of tables. */
  readonly rows: ReadonlyMap<string, Numbered>;
}

/** @throws ProgramError if an operation has neither a lowering nor an expansion */
export function lower(program: Program, precision: Precision, mesh: Mesh = {}, layout: Layout = new Map()): Module {
  const e = new Emitter();
  const refs = new Map<number, Ref>();
  const found = ({ id }: Value): Ref => {
    const ref = refs.get(id);
    if (ref === undefined) throw new ProgramError("a value is read before it is made");
    return ref;
  };
  // Values of ours have numbers below those of the program.
  const value = (ref: Ref, { dtype, shape }: Type): Value => {
    const id = -1 - refs.size;
    refs.set(id, ref);
    return { id, dtype, shape };
  };
  const stored = precision.halves ? storedAsHalves(program) : new Set<number>();
  let rounded = false;
  let anew = false;
  const inner: Builder = {
    apply(op, inputs, attrs) {
      const lowering = lowerings.get(op.name);
      if (lowering !== undefined) {
        const outputs = op.infer(inputs, attrs).map((type) => ({ ...type, id: 0 }));
        const given = operands(e, op.name, inputs.map(found), anew);
        const made = lowering(e, { op, inputs, attrs, outputs }, given, { ...precision, rounded });
        return outputs.map((type, i) => value(made[i], type));
      }
      if (op.expand === undefined) throw new ProgramError(`the XLA engine has no lowering for ${op.name}`);
      return op.expand(inner, inputs, attrs);
    },
  };
  const leaves = [...program.states, ...program.inputs];
  leaves.forEach(([, { id, dtype, shape }], i) => {
    refs.set(id, { name: `%arg${i}`, element: dtype, shape });
  });
  const placed = placing(e, program, precision, mesh, layout);
  const byCudnn = precision.halves && precision.fused ? fusedNodes(program) : new Set<Node>();
  const fused = new FusedAttention(e, mesh);
  for (const node of program.nodes) {
    const given = node.inputs.map((input) => placed(node, input, found(input)));
    anew = node.op.expand !== undefined && node.op.gradient === undefined;
    rounded = stored.has(node.outputs[0].id);
    const made = byCudnn.has(node)
      ? fused.lower(node, given)
      : inner
          .apply(
            node.op,
            given.map((ref, i) => value(ref, node.inputs[i])),
            node.attrs,
          )
          .map(found);
    // Added up on each device for all rows: split by columns, it would be sent row by row before that.
    const added = isOf("scatterAdd", node) && node.attrs.groups === 1 && (mesh.fsdp ?? 1) > 1;
    node.outputs.forEach(({ id }, i) => {
      // What fused attention keeps for its gradient is its own.
      const half = stored.has(id) && !(byCudnn.has(node) && made[i].element === "f32");
      const whole = added ? laid(e, made[i], everywhere(made[i].shape)) : made[i];
      const ref = half ? e.convert(whole, "bf16") : whole;
      // A number a row that is kept for the gradient: made anew there, its rows would be read again.
      refs.set(id, precision.halves && i > 0 && ref.shape.length === 1 ? e.barrier([ref])[0] : ref);
    });
  }
  const leaf = ([name, { dtype, shape }]: [string, Value]): Leaf => ({ name, dtype, shape });
  // In the order of the states: JAX lends a result the first buffer of its type, and another's would have to be copied.
  const updates = [...program.states.keys()].filter((name) => program.updates.has(name));
  const changed = updates.flatMap((name) => program.updates.get(name) ?? []);
  const results = [...changed, ...program.outputs.values()].map((one) => {
    const ref = found(one);
    return ref.element === "bf16" ? e.convert(ref, "f32") : ref;
  });
  const types = results.map(typeOf).join(", ");
  const heads = leaves.map(([, { dtype, shape }], i) => `%arg${i}: ${typeText(dtype, shape)}`);
  const text = [
    "module @program {",
    ...(devicesOf(mesh) === 1 ? [] : [meshText(mesh)]),
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
    updates,
    outputs: [...program.outputs].map(leaf),
    rows: tables(expand(program, () => false)),
  };
}

/**
 * As a lowering takes them: what is stored as bf16 is f32 to all but products, what only moves it, and what looks a part
 * of it up.
 * @param anew in a gradient: what it makes of activations would be shared with the forward pass, written there as f32
 *   and read again, were they not multiplied by a 1 that nobody can see through
 */
function operands(e: Emitter, name: string, refs: readonly Ref[], anew: boolean): readonly Ref[] {
  const asStored =
    ["linear", "matmul", "layerNorm", "crossEntropy"].includes(name) ||
    (moves.has(name) && refs.every(({ element }) => element === refs[0].element));
  if (asStored || refs.every(({ element }) => element !== "bf16")) return refs;
  const one = anew ? e.barrier([e.constant(1, "f32")])[0] : undefined;
  return refs.map((ref) => {
    if (ref.element !== "bf16") return ref;
    const wide = e.convert(ref, "f32");
    return one === undefined ? wide : e.binary("multiply", wide, one);
  });
}

/**
 * Where an operand lies as a node reads it. Left alone, the partitioner splits some products instead of putting their
 * weights together. A gradient goes where its parameter lies; half the bytes travel where bf16 is what is read.
 */
function placing(e: Emitter, program: Program, { halves }: Precision, mesh: Mesh, layout: Layout) {
  const uses = usesOf(program);
  const splits = new Map<number, Split>();
  const lie = ({ id, shape }: Value, name: string) => splits.set(id, splitOfState(mesh, shape, layout.get(name)));
  const kept = new Set([...program.states.values()].map(({ id }) => id));
  const changing = new Set<Node>();
  for (const [name, value] of program.updates) {
    const node = uses.producer(value);
    if (node === undefined) continue;
    changing.add(node);
    for (const input of node.inputs) if (sameShape(input.shape, value.shape)) lie(input, name);
  }
  for (const [name, value] of program.states) lie(value, name);
  return (node: Node, value: Value, ref: Ref): Ref => {
    const split = splits.get(value.id);
    if (split === undefined || isWhole(split)) return ref;
    if (ofParts.has(node.op.name) || changing.has(node)) return laid(e, ref, split);
    if (!kept.has(value.id)) return ref;
    // Behind a barrier: XLA would put the f32 together and round that.
    const rounded = halves && readersOfWhole(uses, value).inHalves;
    const read = rounded ? e.barrier([laid(e, e.convert(ref, "bf16"), split)])[0] : ref;
    return laid(e, read, everywhere(value.shape));
  };
}

/** How many rows the smallest of the tables has, and in how many groups they and the numbers lie. */
export interface Numbered {
  readonly count: number;
  readonly groups: number;
}

/** By operation: which input numbers rows, and of how many. */
const numbering: Readonly<
  Record<string, { readonly ids: number; rows(inputs: readonly Type[], output: Type): number }>
> = {
  gather: { ids: 1, rows: ([table]) => table.shape[0] },
  scatterAdd: { ids: 0, rows: (_inputs, { shape }) => shape[0] },
  oneHot: { ids: 0, rows: (_inputs, { shape }) => shape[1] },
};

function tables(program: Program): ReadonlyMap<string, Numbered> {
  const least = new Map<number, Numbered>();
  const atMost = ({ id }: Value, { count, groups }: Numbered) => {
    const known = least.get(id);
    least.set(id, { count: Math.min(count, known?.count ?? count), groups: Math.max(groups, known?.groups ?? 1) });
  };
  for (const { op, inputs, outputs, attrs } of [...program.nodes].reverse()) {
    const read = numbering[op.name];
    const groups = Number(attrs.groups ?? 1);
    if (read !== undefined) atMost(inputs[read.ids], { count: read.rows(inputs, outputs[0]), groups });
    const known = least.get(outputs[0].id);
    if (op.name === "reshape" && known !== undefined) atMost(inputs[0], known);
  }
  return new Map(
    [...program.inputs].flatMap(([name, { id }]) => {
      const known = least.get(id);
      return known === undefined ? [] : [[name, known] as const];
    }),
  );
}
