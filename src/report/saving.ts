/**
 * What a method saves: the FLOPs at which its evaluation curve first comes down to the reference's final loss, against
 * the FLOPs of the whole reference run. METHOD: Chen et al., bert2BERT (ACL 2022), section 4.
 *
 * `reuse` takes the source model as given, as the paper does; `all-in` also charges what training the source cost.
 */
import type { Flops } from "./data.ts";

/**
 * Evaluations around a crossing that lie further apart than this share of the reference's FLOPs give no figure: a loss
 * curve is not straight, and a saving would be known to no better than that share.
 */
export const WIDEST = 0.1;

export interface LossPoint {
  readonly flops: number;
  /** Evaluation loss, nats a predicted token. */
  readonly loss: number;
}

export type Saving = ReturnType<typeof saving>;

/**
 * FLOPs at which a curve first comes down to `target`, linear between the two evaluations around it; null if it never
 * does. A curve that starts there gives its first point.
 */
export function crossing(curve: readonly LossPoint[], target: number): number | null {
  const around = bounds(curve, target);
  if (around === null) return null;
  const [a, b] = around;
  if (a === b) return b.flops;
  return a.flops + ((a.loss - target) / (a.loss - b.loss)) * (b.flops - a.flops);
}

/** The evaluations between which a curve first comes down to `target`; twice its first where it starts there. */
export function bounds(curve: readonly LossPoint[], target: number): readonly [LossPoint, LossPoint] | null {
  const after = curve.findIndex((point) => point.loss <= target);
  return after < 0 ? null : [curve[Math.max(0, after - 1)], curve[after]];
}

/** @throws RangeError if either curve is empty */
export function saving(method: readonly LossPoint[], reference: readonly LossPoint[], spentBefore = 0) {
  const last = reference.at(-1);
  if (last === undefined || method.length === 0) throw new RangeError("a saving needs evaluations of both runs");
  const around = bounds(method, last.loss);
  // A point that lies on the target is where it was reached, whatever lies before it.
  const coarse =
    around !== null && around[1].loss < last.loss && around[1].flops - around[0].flops > WIDEST * last.flops;
  const reached = coarse ? null : crossing(method, last.loss);
  return {
    /** The reference's final loss. */
    target: last.loss,
    /** FLOPs of the whole reference run. */
    reference: last.flops,
    /** FLOPs at which the method first reached the target; null if it never did, or if it can't be said where. */
    reached,
    /** Whether it did reach it, between two evaluations that lie more than WIDEST of the reference's FLOPs apart. */
    coarse,
    /** 1 − reached / reference; null where `reached` is. Negative when the method cost more. */
    reuse: reached === null ? null : 1 - reached / last.flops,
    /** The same with what was spent before charged to the method. */
    allIn: reached === null ? null : 1 - (reached + spentBefore) / last.flops,
  };
}

/** Evaluations as points on the axis of one count. */
export function lossPoints(
  evaluations: readonly { readonly flops: Flops; readonly loss: number }[],
  accounting: keyof Flops,
): LossPoint[] {
  return evaluations.map((evaluation) => ({ flops: evaluation.flops[accounting], loss: evaluation.loss }));
}
