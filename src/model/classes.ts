/**
 * transformers' model classes as sets of heads: which one a checkpoint is, and which one is written.
 *
 * `architectures` in a written config names the class that holds exactly the heads present, so that transformers opens
 * the folder with neither missing nor unexpected keys. What is stored decides, as in transformers, which never looks at
 * `architectures` to choose a class.
 */
import type { Heads } from "./table.ts";

export interface ModelClass {
  readonly name: string;
  readonly heads: Heads;
}

export function modelClass(name: string, lm: boolean, pooler: boolean, nsp: boolean): ModelClass {
  return { name, heads: { lm, pooler, nsp } };
}

/** Whether all has every head that some has. */
export function within(some: Heads, all: Heads): boolean {
  return (all.lm || !some.lm) && (all.pooler || !some.pooler) && (all.nsp || !some.nsp);
}

function count(heads: Heads): number {
  return Number(heads.lm) + Number(heads.pooler) + Number(heads.nsp);
}

/** The class with exactly these heads, else the largest that has no others; undefined if there is none. */
export function classOf(classes: readonly ModelClass[], heads: Heads): ModelClass | undefined {
  let best: ModelClass | undefined;
  for (const candidate of classes) {
    if (within(candidate.heads, heads) && (best === undefined || count(candidate.heads) > count(best.heads))) {
      best = candidate;
    }
  }
  return best;
}

export const noHeads: Heads = { lm: false, pooler: false, nsp: false };

/** The heads to read from a checkpoint: those of the largest class whose heads are all stored; else none. */
export function headsToRead(classes: readonly ModelClass[], stored: Heads): Heads {
  return classOf(classes, stored)?.heads ?? noHeads;
}

/** What `architectures` says of a model. @param classes the bare model last: it stands for none of its heads as well */
export function classNames(classes: readonly ModelClass[], heads: Heads): string[] {
  return [(classOf(classes, heads) ?? classes[classes.length - 1]).name];
}
