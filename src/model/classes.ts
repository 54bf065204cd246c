/**
 * transformers' model classes as sets of outputs: which one a checkpoint is, and which one is written.
 *
 * `architectures` in a written config names the class that has exactly the outputs present, so that transformers opens
 * the folder with neither missing nor unexpected keys. What is stored decides, as in transformers, which never looks at
 * `architectures` to choose a class.
 */
import type { Output } from "./table.ts";

export interface ModelClass {
  readonly name: string;
  readonly outputs: readonly Output[];
}

export function modelClass(name: string, ...outputs: readonly Output[]): ModelClass {
  return { name, outputs };
}

/** Whether all has every output that some has. */
export function within(some: readonly Output[], all: readonly Output[]): boolean {
  return some.every((output) => all.includes(output));
}

/** The class with exactly these outputs, else the largest that has no others; undefined if there is none. */
export function classOf(classes: readonly ModelClass[], outputs: readonly Output[]): ModelClass | undefined {
  const inside = classes.filter((candidate) => within(candidate.outputs, outputs));
  return inside.toSorted((a, b) => b.outputs.length - a.outputs.length).at(0);
}
