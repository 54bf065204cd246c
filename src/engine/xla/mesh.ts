/**
 * Several devices as a mesh: `data` splits the batch; `fsdp` splits the batch and what is kept between runs (Rajbhandari
 * et al. 2020, ZeRO stage 3). Where things lie is said here; XLA's partitioner makes the programs and all communication.
 */
import { type Program, type Shape, size, type Value } from "../../program/graph.ts";
import { type Uses, usesOf } from "../../program/uses.ts";
import { UserError } from "../../util/errors.ts";
import type { Layout, Share } from "../engine.ts";
import { type Emitter, type Ref, typeOf } from "./emitter.ts";

/** Axis → devices along it. */
export type Mesh = Readonly<Record<string, number>>;

/** For each axis of a tensor, along which axes of the mesh it is split. */
export type Split = readonly (readonly string[])[];

export const devicesOf = (mesh: Mesh): number => Object.values(mesh).reduce((product, ways) => product * ways, 1);

/**
 * A tensor that is kept between runs: a matrix along the first axis that may be split and divides. It is put together where
 * it is read.
 * @param along the axes that may be; default any
 */
export function splitOfState(mesh: Mesh, shape: Shape, along: readonly number[] = [...shape.keys()]): Split {
  const ways = mesh.fsdp ?? 1;
  const axis = ways === 1 || shape.length < 2 ? undefined : along.find((axis) => shape[axis] % ways === 0);
  return shape.map((_, i) => (i === axis ? ["fsdp"] : []));
}

/** Operations that go element by element over what is kept, each device over its own part. */
export const ofParts: ReadonlySet<string> = new Set(["adamw", "globalNorm"]);
/** Those that read what is kept as bf16, where that is the precision. */
const ofHalves: ReadonlySet<string> = new Set(["linear", "matmul"]);

/** Who reads what is kept, its parts put together; and whether all of them would take it as bf16. */
export function readersOfWhole(uses: Uses, value: Value): { readonly any: boolean; readonly inHalves: boolean } {
  const read = uses.readers(value).filter(({ op }) => !ofParts.has(op.name));
  return { any: read.length > 0, inHalves: read.every(({ op }) => ofHalves.has(op.name)) };
}

/** What each device keeps, and what is sent in a run: all that reads what is split reads one copy, in the wider precision. */
export function shareOf(program: Program, mesh: Mesh, layout: Layout, halves: boolean): Omit<Share, "devices"> {
  const uses = usesOf(program);
  let [kept, gathered, reduced] = [0, 0, 0];
  for (const [name, value] of program.states) {
    const bytes = 4 * size(value.shape);
    const split = splitOfState(mesh, value.shape, layout.get(name));
    const whole = isWhole(split);
    kept += whole ? bytes : bytes / (mesh.fsdp ?? 1);
    const read = readersOfWhole(uses, value);
    if (!whole && read.any) gathered += halves && read.inHalves ? bytes / 2 : bytes;
    const updates = uses.readers(value).filter(({ op, inputs }) => op.name === "adamw" && inputs[0].id === value.id);
    reduced += bytes * updates.length;
  }
  return { kept, gathered, reduced };
}

/**
 * An input: sequences among all devices, all else on each.
 * @throws UserError if they don't divide
 */
export function splitOfInput(mesh: Mesh, { batched }: Program, name: string, shape: Shape): Split {
  const sequences = batched.get(name);
  const devices = devicesOf(mesh);
  if (sequences === undefined) return everywhere(shape);
  if (sequences % devices !== 0) {
    const what = `a batch of ${sequences} sequences does not divide among ${devices} devices`;
    throw new UserError(what, "engine.mesh", `make batch.sequences a multiple of ${devices}`);
  }
  return shape.map((_, i) => (i === 0 ? Object.keys(mesh) : []));
}

export const everywhere = (shape: Shape): Split => shape.map(() => []);
export const isWhole = (split: Split): boolean => split.every((axes) => axes.length === 0);

/** As the head of a module has it. */
export function meshText(mesh: Mesh): string {
  const axes = Object.entries(mesh).map(([axis, ways]) => `"${axis}"=${ways}`);
  return `  sdy.mesh @mesh = <[${axes.join(", ")}]>`;
}

/** The value, lying as said. */
export function laid(e: Emitter, x: Ref, split: Split): Ref {
  const axes = split.map((names) => `{${names.map((name) => `"${name}"`).join(", ")}}`).join(", ");
  return e.op(`sdy.sharding_constraint ${x.name} <@mesh, [${axes}]> : ${typeOf(x)}`, x.element, x.shape);
}
