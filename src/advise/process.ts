/**
 * A Gaussian process: a mean and a spread at any place from values measured at some. Near none of them it falls back to
 * what is expected, as wide as what is expected spreads. Its widths are then held against the values themselves, each
 * foretold from the others. METHOD: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), sections
 * 2.2 and 5.4.2 (leave-one-out in closed form).
 */

export interface Observation {
  /** In units of how far a value says something of another. */
  readonly at: readonly number[];
  /** Above what is expected there. */
  readonly value: number;
  /** Standard deviation of the measurement. */
  readonly noise: number;
}

/** @param spread standard deviation of values around what is expected, where nothing is known */
export function gaussianProcess(data: readonly Observation[], spread: number) {
  const covariance = (a: readonly number[], b: readonly number[]) => spread ** 2 * Math.exp(-(distance(a, b) ** 2) / 2);
  const inverted = inverse(
    data.map(({ at, noise }, i) =>
      Float64Array.from(data, (other, j) => covariance(at, other.at) + (i === j ? noise ** 2 : 0)),
    ),
  );
  const values = data.map(({ value }) => value);
  const weights = inverted.map((row) => dot(row, values));
  return {
    /** The mean at a place, and the deviation of the value itself, without the noise of measuring it. */
    at(place: readonly number[]) {
      const near = data.map(({ at }) => covariance(place, at));
      const products = inverted.map((row) => dot(row, near));
      const deviation = Math.sqrt(Math.max(0, spread ** 2 - dot(near, products)));
      return { mean: dot(near, weights), deviation };
    },
    /** How many of its own deviations, noise included, each value lies from what the others foretell. */
    misses: (): readonly number[] => weights.map((weight, i) => weight / Math.sqrt(inverted[i][i])),
  };
}

export function distance(a: readonly number[], b: readonly number[]): number {
  return Math.hypot(...a.map((value, i) => value - b[i]));
}

function dot(a: ArrayLike<number>, b: readonly number[]): number {
  return b.reduce((sum, value, i) => sum + a[i] * value, 0);
}

/** Of a symmetric positive matrix, by Gauss and Jordan. */
function inverse(matrix: readonly Float64Array[]): readonly Float64Array[] {
  const size = matrix.length;
  const rows = matrix.map((row, i) =>
    Float64Array.from({ length: 2 * size }, (_, j) => row[j] ?? Number(j - size === i)),
  );
  rows.forEach((pivot, i) => {
    const by = pivot[i];
    for (let j = 0; j < 2 * size; j++) pivot[j] /= by;
    rows.forEach((row, k) => {
      const factor = row[i];
      if (k !== i && factor !== 0) for (let j = 0; j < 2 * size; j++) row[j] -= factor * pivot[j];
    });
  });
  return rows.map((row) => row.slice(size));
}
