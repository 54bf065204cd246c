/**
 * transformers' model classes as sets of outputs: which one a checkpoint is, and which one is written.
 *
 * `architectures` in a written config names the class that has exactly the outputs present, so that transformers opens
 * the folder with neither missing nor unexpected keys.
 */
import type { Output } from "./table.ts";

export interface ModelClass {
  readonly name: string;
  readonly outputs: readonly Output[];
}

export function modelClass(name: string, ...outputs: readonly Output[]): ModelClass {
  return { name, outputs };
}

function within(some: readonly Output[], all: readonly Output[]): boolean {
  return some.every((output) => all.includes(output));
}

/** The class with exactly these outputs, else the largest that has no others; undefined if there is none. */
export function classOf(classes: readonly ModelClass[], outputs: readonly Output[]): ModelClass | undefined {
  const inside = classes.filter((candidate) => within(candidate.outputs, outputs));
  return inside.toSorted((a, b) => b.outputs.length - a.outputs.length).at(0);
}

/**
 * The outputs to read from a checkpoint.
 * @param named the class its config names; undefined for none
 * @param stored the outputs whose parameters it holds
 * @returns those of the largest class whose outputs are all stored, the named one's always included
 */
export function outputsToRead(
  classes: readonly ModelClass[],
  named: ModelClass | undefined,
  stored: readonly Output[],
): readonly Output[] {
  const floor = named?.outputs ?? [];
  const above = classes.filter((candidate) => within(floor, candidate.outputs));
  return classOf(above, stored)?.outputs ?? (named === undefined ? stored : floor);
}
