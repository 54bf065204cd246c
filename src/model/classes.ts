/**
 * transformers' model classes as sets of heads: which one a checkpoint is, and which one is written.
 *
 * `architectures` in a written config names the class that holds exactly the heads present, so that transformers opens
 * the folder with neither missing nor unexpected keys.
 */
import type { Heads } from "./table.ts";

export interface ModelClass {
  readonly name: string;
  readonly heads: Heads;
}

export function modelClass(name: string, lm: boolean, pooler: boolean, nsp: boolean): ModelClass {
  return { name, heads: { lm, pooler, nsp } };
}

function within(some: Heads, all: Heads): boolean {
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

/**
 * The heads to read from a checkpoint.
 * @param named the class its config names; undefined for none
 * @param stored the heads whose parameters it holds
 * @returns those of the largest class whose heads are all stored, the named one's always included
 */
export function headsToRead(classes: readonly ModelClass[], named: string | undefined, stored: Heads): Heads {
  const floor = classes.find((candidate) => candidate.name === named)?.heads ?? {
    lm: false,
    pooler: false,
    nsp: false,
  };
  const above = classes.filter((candidate) => within(floor, candidate.heads));
  return classOf(above, stored)?.heads ?? (named === undefined ? stored : floor);
}
