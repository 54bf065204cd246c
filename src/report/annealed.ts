/**
 * The saving at equal annealed loss: how much less a method spends for the reference's final loss when every point of
 * its curve is the end of a run that was decayed to that end. The crossing of an unfinished schedule flatters the
 * schedule that anneals early. METHOD: Hägele et al. (NeurIPS 2024) for the curve; the interval is Welch's, over the
 * seeds of both sides.
 */
import { bounds, type LossPoint } from "./saving.ts";

/** A mean over pairs of seeds with its 95 % interval; null where one seed on each side tells nothing of it. */
export interface Interval {
  readonly mean: number;
  readonly low: number | null;
  readonly high: number | null;
}

/**
 * FLOPs at which a curve of annealed losses meets `target`: linear in the logarithm of FLOPs, in which losses run nearly
 * straight. `before` where its cheapest point is already below it, null where it never gets there.
 * @param curve by rising FLOPs, at least one point
 */
export function annealedCrossing(curve: readonly LossPoint[], target: number): number | "before" | null {
  const around = bounds(curve, target);
  if (around === null) return null;
  const [a, b] = around;
  if (b.loss === target) return b.flops;
  if (a === b) return "before";
  return a.flops * (b.flops / a.flops) ** ((a.loss - target) / (a.loss - b.loss));
}

/**
 * The mean of a figure over all pairs of a row's seed and a column's, and its interval: the means of rows and of
 * columns each vary with their own seeds. A side with one seed is taken to vary as the other.
 * @param pairs a row each seed of the method, a column each seed of the reference
 */
export function pairInterval(pairs: readonly (readonly number[])[]): Interval {
  const rows = pairs.map(mean);
  const columns = pairs[0].map((_, j) => mean(pairs.map((row) => row[j])));
  const middle = mean(rows);
  const [r, c] = [variance(rows), variance(columns)];
  const known = r ?? c;
  if (known === undefined) return { mean: middle, low: null, high: null };
  const parts = [
    { part: (r ?? known) / rows.length, freedom: (r === undefined ? columns.length : rows.length) - 1 },
    { part: (c ?? known) / columns.length, freedom: (c === undefined ? rows.length : columns.length) - 1 },
  ];
  const sum = parts[0].part + parts[1].part;
  const freedom = sum === 0 ? 1 : sum ** 2 / parts.reduce((all, { part, freedom }) => all + part ** 2 / freedom, 0);
  const half = student(freedom) * Math.sqrt(sum);
  return { mean: middle, low: middle - half, high: middle + half };
}

/** Student's t at 97.5 %, for one degree of freedom and more. */
const T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];

/** A broken number of degrees counts as the whole one below it: wider rather than narrower. */
function student(freedom: number): number {
  const whole = Math.max(1, Math.floor(freedom + 1e-9));
  if (whole <= T.length) return T[whole - 1];
  const z = 1.959964;
  // Cornish and Fisher's expansion, right to four digits from here on.
  return z + (z ** 3 + z) / (4 * whole) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * whole ** 2);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Undefined of one value. */
function variance(values: readonly number[]): number | undefined {
  if (values.length < 2) return undefined;
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1);
}
