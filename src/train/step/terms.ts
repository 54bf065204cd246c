/** What steps add up to: FLOPs, and the terms of an objective that has several. */

export interface FlopsSoFar {
  /** Counted from the programs that ran, a multiply-add as two. */
  readonly exact: number;
  /** By the papers' convention (model/flops.ts). */
  readonly paper: number;
}

/** Both counts by the same rule. */
export function bothCounts(of: (count: keyof FlopsSoFar) => number): FlopsSoFar {
  return { exact: of("exact"), paper: of("paper") };
}

/** Sums over steps of the terms of an objective with sentence pairs. */
export interface TermSums {
  /** The language model's loss, and the pairs'; a step's are means over what it counts. */
  readonly lm: number;
  readonly nsp: number;
  /** Pairs told rightly. */
  readonly nsp_correct: number;
}

export function addTerms(a: TermSums | undefined, b: TermSums | undefined): TermSums | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return { lm: a.lm + b.lm, nsp: a.nsp + b.nsp, nsp_correct: a.nsp_correct + b.nsp_correct };
}
