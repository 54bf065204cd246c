/**
 * What a method saves: the FLOPs at which its evaluation curve first comes down to the reference's final loss, against
 * the FLOPs of the whole reference run. METHOD: Chen et al., bert2BERT (ACL 2022), section 4.
 *
 * `reuse` takes the source model as given, as the paper does; `all-in` also charges what training the source cost.
 */
import type { Flops } from "./data.ts";

export interface LossPoint {
  readonly flops: number;
  /** Evaluation loss, nats a predicted token. */
  readonly loss: number;
}

export interface Saving {
  /** The reference's final loss. */
  readonly target: number;
  /** FLOPs of the whole reference run. */
  readonly reference: number;
  /** FLOPs at which the method first reached the target; null if it never did. */
  readonly reached: number | null;
  /** 1 − reached / reference; null if never reached. Negative when the method cost more. */
  readonly reuse: number | null;
  /** The same with what was spent before charged to the method. */
  readonly allIn: number | null;
}

/**
 * FLOPs at which a curve first comes down to `target`, linear between the two evaluations around it; null if it never
 * does. A curve that starts there gives its first point.
 */
export function crossing(curve: readonly LossPoint[], target: number): number | null {
  const after = curve.findIndex((point) => point.loss <= target);
  if (after < 0) return null;
  if (after === 0) return curve[0].flops;
  const a = curve[after - 1];
  const b = curve[after];
  return a.flops + ((a.loss - target) / (a.loss - b.loss)) * (b.flops - a.flops);
}

/** @throws RangeError if either curve is empty */
export function saving(method: readonly LossPoint[], reference: readonly LossPoint[], spentBefore = 0): Saving {
  const last = reference.at(-1);
  if (last === undefined || method.length === 0) throw new RangeError("a saving needs evaluations of both runs");
  const reached = crossing(method, last.loss);
  return {
    target: last.loss,
    reference: last.flops,
    reached,
    reuse: reached === null ? null : 1 - reached / last.flops,
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
