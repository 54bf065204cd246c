/**
 * Several devices as a mesh: `data` splits the batch; `fsdp` splits the batch and what is kept between runs (Rajbhandari
 * et al. 2020, ZeRO stage 3). Where things lie is said here; XLA's partitioner makes the programs and all communication.
 */
import type { Program, Shape } from "../../program/graph.ts";
import { UserError } from "../../util/errors.ts";
import { type Emitter, type Ref, typeOf } from "./emitter.ts";

/** Axis → devices along it. */
export type Mesh = Readonly<Record<string, number>>;

/** For each axis of a tensor, along which axes of the mesh it is split. */
export type Split = readonly (readonly string[])[];

export const devicesOf = (mesh: Mesh): number => Object.values(mesh).reduce((product, ways) => product * ways, 1);

/**
 * A tensor that is kept between runs: a matrix along its first axis that divides. It is put together where it is read,
 * so which one that is matters to nobody; of equal shapes, a parameter and its moments lie alike.
 */
export function splitOfState(mesh: Mesh, shape: Shape): Split {
  const ways = mesh.fsdp ?? 1;
  const axis = ways === 1 || shape.length < 2 ? -1 : shape.findIndex((extent) => extent % ways === 0);
  return shape.map((_, i) => (i === axis ? ["fsdp"] : []));
}

/**
 * An input: sequences among all devices, all else on each.
 * @throws UserError if they don't divide
 */
export function splitOfInput(mesh: Mesh, { batched }: Program, name: string, shape: Shape): Split {
  const sequences = batched.get(name);
  const devices = devicesOf(mesh);
  if (sequences === undefined) return shape.map(() => []);
  if (sequences % devices !== 0) {
    const what = `a batch of ${sequences} sequences does not divide among ${devices} devices`;
    throw new UserError(what, "engine.mesh", `make batch.sequences a multiple of ${devices}`);
  }
  return shape.map((_, i) => (i === 0 ? Object.keys(mesh) : []));
}

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
