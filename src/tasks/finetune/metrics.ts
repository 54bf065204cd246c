/**
 * How good predictions are, as scikit-learn and scipy compute it: shares of 1. Where those say NaN (a correlation with
 * what does not vary) so does this; where they say 0 with a warning, 0.
 */

export type Metric = (found: readonly number[], wanted: readonly number[]) => number;

function accuracy(found: readonly number[], wanted: readonly number[]): number {
  return found.filter((label, i) => label === wanted[i]).length / wanted.length;
}

/** Of one class (`f1_score` of two classes, the second the positive one), else the mean over the classes that occur. */
function f1(found: readonly number[], wanted: readonly number[]): number {
  const classes = [...new Set([...found, ...wanted])];
  const of = (label: number) => {
    const both = found.filter((one, i) => one === label && wanted[i] === label).length;
    const either = [...found, ...wanted].filter((one) => one === label).length;
    return either === 0 ? 0 : (2 * both) / either;
  };
  if (classes.every((label) => label <= 1)) return of(1);
  return classes.reduce((sum, label) => sum + of(label), 0) / classes.length;
}

/** `matthews_corrcoef`: of any number of classes (Gorodkin 2004). */
function matthews(found: readonly number[], wanted: readonly number[]): number {
  const n = wanted.length;
  const count = (values: readonly number[], label: number) => values.filter((one) => one === label).length;
  const right = found.filter((label, i) => label === wanted[i]).length;
  let [product, ofFound, ofWanted] = [0, 0, 0];
  for (const label of new Set([...found, ...wanted])) {
    const [a, b] = [count(found, label), count(wanted, label)];
    product += a * b;
    ofFound += a * a;
    ofWanted += b * b;
  }
  const below = (n * n - ofFound) * (n * n - ofWanted);
  return below === 0 ? 0 : (right * n - product) / Math.sqrt(below);
}

function pearson(found: readonly number[], wanted: readonly number[]): number {
  const centred = (values: readonly number[]) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  };
  const [x, y] = [centred(found), centred(wanted)];
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
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
