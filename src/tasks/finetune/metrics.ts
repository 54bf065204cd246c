/**
 * How good predictions are, as scikit-learn and scipy compute it: shares of 1. Where those say NaN (a correlation with
 * what does not vary) so does this; where they say 0 with a warning, 0.
 */

export type Metric = (found: readonly number[], wanted: readonly number[]) => number;

export function accuracy<Label>(found: readonly Label[], wanted: readonly Label[]): number {
  return found.filter((label, i) => label === wanted[i]).length / wanted.length;
}

/** Each class that occurs: how often it was found, wanted, and both at once. */
function countsOf(found: readonly number[], wanted: readonly number[]) {
  const count = (label: number) => ({
    label,
    found: found.filter((one) => one === label).length,
    wanted: wanted.filter((one) => one === label).length,
    both: found.filter((one, i) => one === label && wanted[i] === label).length,
  });
  return [...new Set([...found, ...wanted])].map(count);
}

/** Of one class (`f1_score` of two classes, the second the positive one), else the mean over the classes that occur. */
function f1(found: readonly number[], wanted: readonly number[]): number {
  const counts = countsOf(found, wanted);
  const scores = counts.map((one) => ({ label: one.label, f1: (2 * one.both) / (one.found + one.wanted) }));
  if (scores.every(({ label }) => label <= 1)) return scores.find(({ label }) => label === 1)?.f1 ?? 0;
  return total(scores.map((one) => one.f1)) / scores.length;
}

/** `matthews_corrcoef`: of any number of classes (Gorodkin 2004). */
function matthews(found: readonly number[], wanted: readonly number[]): number {
  const n = wanted.length;
  const counts = countsOf(found, wanted);
  const product = (a: "found" | "wanted", b: "found" | "wanted") => total(counts.map((one) => one[a] * one[b]));
  const below = (n * n - product("found", "found")) * (n * n - product("wanted", "wanted"));
  const right = total(counts.map(({ both }) => both));
  return below === 0 ? 0 : (right * n - product("found", "wanted")) / Math.sqrt(below);
}

export function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

function pearson(found: readonly number[], wanted: readonly number[]): number {
  const centred = (values: readonly number[]) => {
    const mean = total(values) / values.length;
    return values.map((value) => value - mean);
  };
  const [x, y] = [centred(found), centred(wanted)];
  const dot = (a: readonly number[], b: readonly number[]) => total(a.map((value, i) => value * b[i]));
  const below = Math.sqrt(dot(x, x)) * Math.sqrt(dot(y, y));
  return below === 0 ? Number.NaN : Math.max(-1, Math.min(1, dot(x, y) / below));
}

/** Pearson's of the ranks; equal values share the mean of theirs. */
function spearman(found: readonly number[], wanted: readonly number[]): number {
  return pearson(ranks(found), ranks(wanted));
}

function ranks(values: readonly number[]): readonly number[] {
  const order = values.map((value, i) => ({ value, i })).sort((a, b) => a.value - b.value);
  const ranked = new Array<number>(values.length).fill(0);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && order[to].value === order[from].value) to++;
    for (const { i } of order.slice(from, to)) ranked[i] = (from + to - 1) / 2 + 1;
  }
  return ranked;
}

/** The metrics of each kind of task; the first is the one it is judged by where none is named. */
export const metrics = {
  classification: { accuracy, f1, matthews },
  regression: { pearson, spearman },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Metric>>>>;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
