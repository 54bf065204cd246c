/**
 * Recipes: how a target tensor is made from source tensors, worked out a few rows at a time.
 *
 * A recipe is a description that costs nothing until it is asked to fill rows: a growth is planned, printed and checked
 * without reading any data, and applied holding one slice of one tensor. A tensor's rows run along all its dimensions
 * but the last; a vector is one row. Growth methods combine the recipes here or bring their own.
 */

/**
 * Where recipes read: the tensors of the source, as float32, by any range of elements. What it gives may be used until
 * the `fill` that asked for it ends: its memory is then read into again.
 */
export interface TensorSource {
  read(name: string, start: number, count: number): Promise<Float32Array>;
}

/** A tensor of the source, by name. */
export interface SourceTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface Recipe {
  /** Of the tensor it makes. */
  readonly shape: readonly number[];
  /** Names of the source tensors it reads. */
  readonly reads: readonly string[];
  /** Whether some of its entries are made from the source's and others read none of them. */
  readonly partly?: boolean;
  /** Every number is one of the source's times a power of two, or is bound to none: a format of fewer digits loses nothing. */
  readonly lossless?: boolean;
  /** For a person: "each unit from one of layer 3, shared by 2". */
  readonly words: string;
  /** Fills `out` with whole rows, the first of which is number `row`. */
  fill(out: Float32Array, row: number, source: TensorSource): Promise<void>;
}

/** How one dimension of a target reads one of its source: index and factor for each index of the target. */
export interface Along {
  readonly index: Uint32Array;
  /** What the source's value is multiplied with; absent: 1 everywhere. */
  readonly factor?: Float64Array;
}

export function rowWidth(shape: readonly number[]): number {
  return shape[shape.length - 1] ?? 1;
}

export function rowCount(shape: readonly number[]): number {
  return shape.slice(0, -1).reduce((product, extent) => product * extent, 1);
}

/** Source tensors up to this many elements are read at once where their rows are asked for here and there. */
const WHOLE = 2 ** 23;

/** Runs of rows at least so long, on average, are read one by one: so much and no more, and it stays in a core's cache. */
const LONG_READ = 64;

/** T[i, j, …] = S[index₀(i), index₁(j), …] · factor₀(i) · factor₁(j) …; null for a dimension taken as it is. */
export function gather(
  from: SourceTensor,
  shape: readonly number[],
  along: readonly (Along | null)[],
  words: string,
): Recipe {
  const width = rowWidth(shape);
  const sourceWidth = rowWidth(from.shape);
  const copyRow = rowCopier(width, along[shape.length - 1] ?? null);
  return {
    shape,
    reads: [from.name],
    words,
    lossless: along.every((dim) => dim?.factor?.every(isPowerOfTwo) ?? true),
    async fill(out, row, source) {
      const rows = out.length / width;
      const [origins, factors] = rowOrigins(from.shape, shape, along, row, rows);
      let runs = 1;
      for (let r = 1; r < rows; r++) if (origins[r] !== origins[r - 1] + 1) runs++;
      const whole = rowCount(from.shape) * sourceWidth <= WHOLE && rows < runs * LONG_READ;
      const all = whole ? await source.read(from.name, 0, rowCount(from.shape) * sourceWidth) : undefined;
      for (let start = 0; start < rows; ) {
        // A run of rows that stand one after the other in the source is read in one piece.
        let end = start + 1;
        while (end < rows && origins[end] === origins[end - 1] + 1) end++;
        const first = origins[start] * sourceWidth;
        const data = all ?? (await source.read(from.name, first, (end - start) * sourceWidth));
        const offset = all === undefined ? 0 : first;
        for (let r = start; r < end; r++) {
          copyRow(data, offset + (r - start) * sourceWidth, out, r * width, factors === undefined ? 1 : factors[r]);
        }
        start = end;
      }
    },
  };
}

/** Negative ones and 0 too. */
function isPowerOfTwo(factor: number): boolean {
  return factor === 0 || Number.isInteger(Math.log2(Math.abs(factor)));
}

/** The source row of each target row and its factor. */
function rowOrigins(
  from: readonly number[],
  shape: readonly number[],
  along: readonly (Along | null)[],
  row: number,
  rows: number,
): [Float64Array, Float64Array | undefined] {
  const leading = shape.length - 1;
  const scaled = along.slice(0, leading).some((dim) => dim?.factor !== undefined);
  const origins = new Float64Array(rows);
  const factors = scaled ? new Float64Array(rows).fill(1) : undefined;
  for (let r = 0; r < rows; r++) {
    let rest = row + r;
    let stride = 1;
    for (let d = leading - 1; d >= 0; d--) {
      const i = rest % shape[d];
      rest = (rest - i) / shape[d];
      const dim = along[d];
      origins[r] += (dim?.index[i] ?? i) * stride;
      if (factors !== undefined) factors[r] *= dim?.factor?.[i] ?? 1;
      stride *= from[d];
    }
  }
  return [origins, factors];
}

/** A run of numbers at least so long is moved faster as a whole: its views cost as much as a short loop. */
const LONG = 64;

type CopyRow = (source: Float32Array, from: number, out: Float32Array, to: number, factor: number) => void;

/** How a dimension is copied, of those that many parameters share: found once. */
const copiers = new WeakMap<Along, CopyRow>();

function rowCopier(width: number, along: Along | null): CopyRow {
  const found = along === null ? undefined : copiers.get(along);
  if (found !== undefined) return found;
  const copier = copierOf(along === null ? [{ to: 0, from: 0, length: width, factor: 1 }] : partsOf(along), along);
  if (along !== null) copiers.set(along, copier);
  return copier;
}

/**
 * Copies a row part by part. Long runs, of which cyclic maps are made, are moved as a whole where they are not
 * multiplied, or were before; the rest goes number by number, in plain loops.
 */
function copierOf(parts: readonly Part[], along: Along | null): CopyRow {
  const index = along?.index ?? new Uint32Array();
  const factors = along?.factor;
  return (source, from, out, to, rowFactor) => {
    for (const part of parts) {
      const at = to + part.to;
      if (part.factor === undefined) {
        const end = part.to + part.length;
        if (factors === undefined) {
          for (let j = part.to; j < end; j++) out[to + j] = source[from + index[j]] * rowFactor;
        } else {
          for (let j = part.to; j < end; j++) out[to + j] = source[from + index[j]] * (factors[j] * rowFactor);
        }
        continue;
      }
      const start = from + part.from;
      const factor = part.factor * rowFactor;
      if (factor === 1) out.set(source.subarray(start, start + part.length), at);
      else if (part.again !== undefined) out.copyWithin(at, to + part.again, to + part.again + part.length);
      else for (let i = 0; i < part.length; i++) out[at + i] = source[start + i] * factor;
    }
  };
}

/** A part of a row: a long run of numbers that stand one after the other in source and target, or others. */
interface Part {
  readonly to: number;
  readonly from: number;
  readonly length: number;
  /** Of a long run, which has one factor. */
  readonly factor?: number;
  /** Where in the target the same numbers with the same factor stand before. */
  readonly again?: number;
}

function partsOf({ index, factor }: Along): readonly Part[] {
  const parts: Part[] = [];
  let rest = 0;
  const addRest = (end: number) => {
    if (end > rest) parts.push({ to: rest, from: index[rest], length: end - rest });
  };
  for (let start = 0; start < index.length; ) {
    const one = factor?.[start] ?? 1;
    let end = start + 1;
    while (end < index.length && index[end] === index[end - 1] + 1 && (factor?.[end] ?? 1) === one) end++;
    if (end - start >= LONG) {
      addRest(start);
      const from = index[start];
      const before = parts.find((part) => part.factor === one && contains(part, from, end - start));
      const again = before === undefined ? undefined : before.to + from - before.from;
      parts.push({ to: start, from, length: end - start, factor: one, again });
      rest = end;
    }
    start = end;
  }
  addRest(index.length);
  return parts;
}

function contains(part: Part, from: number, length: number): boolean {
  return part.from <= from && from + length <= part.from + part.length;
}

export function constant(shape: readonly number[], value: number): Recipe {
  return {
    shape,
    reads: [],
    words: `all ${value}`,
    lossless: isPowerOfTwo(value),
    async fill(out) {
      out.fill(value);
    },
  };
}

/** The same numbers times a factor. */
export function scaled(recipe: Recipe, factor: number): Recipe {
  if (factor === 1) return recipe;
  return {
    ...recipe,
    words: `${recipe.words}, times ${Number(factor.toPrecision(3))}`,
    lossless: recipe.lossless === true && isPowerOfTwo(factor),
    async fill(out, row, source) {
      await recipe.fill(out, row, source);
      for (let i = 0; i < out.length; i++) out[i] *= factor;
    },
  };
}

/** The sum of recipes of one shape, each times a factor. */
export function summed(parts: readonly (readonly [Recipe, number])[], words: string): Recipe {
  const [[{ shape }]] = parts;
  return {
    shape,
    reads: parts.flatMap(([part]) => part.reads),
    words,
    async fill(out, row, source) {
      const one = new Float32Array(out.length);
      out.fill(0);
      for (const [part, factor] of parts) {
        await part.fill(one, row, source);
        for (let i = 0; i < out.length; i++) out[i] += factor * one[i];
      }
    },
  };
}

/** What is worked out once for each source that it is read from. */
export function onceFor<T>(compute: (source: TensorSource) => Promise<T>): typeof compute {
  const known = new WeakMap<TensorSource, Promise<T>>();
  return (source) => {
    const found = known.get(source) ?? compute(source);
    known.set(source, found);
    return found;
  };
}

/** At every index along dimension `d` the mean over it of a recipe that is of another extent there, or the same. */
export function averaged(base: Recipe, d: number, shape: readonly number[]): Recipe {
  const width = rowWidth(shape);
  const baseWidth = rowWidth(base.shape);
  const common = { shape, reads: base.reads, words: "means" };
  if (d === shape.length - 1) {
    return {
      ...common,
      async fill(out, row, source) {
        const rows = out.length / width;
        const values = new Float32Array(rows * baseWidth);
        await base.fill(values, row, source);
        for (let r = 0; r < rows; r++) {
          let sum = 0;
          for (let j = r * baseWidth; j < (r + 1) * baseWidth; j++) sum += values[j];
          out.fill(sum / baseWidth, r * width, (r + 1) * width);
        }
      },
    };
  }
  // Over rows: one row of means serves all of them.
  if (shape.length !== 2) throw new RangeError("means over the rows of matrices alone");
  const means = onceFor(async (source) => {
    const sums = new Float64Array(width);
    const row = new Float32Array(width);
    for (let r = 0; r < base.shape[0]; r++) {
      await base.fill(row, r, source);
      for (let j = 0; j < width; j++) sums[j] += row[j] / base.shape[0];
    }
    return sums;
  });
  return {
    ...common,
    async fill(out, _row, source) {
      const row = await means(source);
      for (let r = 0; r < out.length; r += width) out.set(row, r);
    },
  };
}

/** Memory that `choose` used last: fresh memory for each slice has to be zeroed by the system. */
let spare: Float32Array | undefined;

function takeSpare(length: number): Float32Array {
  const taken = spare !== undefined && spare.length >= length ? spare : new Float32Array(length);
  spare = undefined;
  return taken;
}

/** By index along one dimension: where `chosen` is 0 the first recipe's values, where it is 1 the second's. */
export function choose(dim: number, chosen: Uint8Array, first: Recipe, second: Recipe, words: string): Recipe {
  const { shape } = first;
  const width = rowWidth(shape);
  const options = [first, second];
  const readers = options.filter((option) => option.reads.length > 0);
  const partly = readers.length === 1 || options.some((option) => option.partly === true);
  const lossless = options.every((option) => option.lossless === true);
  const common = { shape, reads: [...new Set([...first.reads, ...second.reads])], partly, lossless, words };
  if (dim === shape.length - 1) {
    return {
      ...common,
      async fill(out, row, source) {
        const other = takeSpare(out.length);
        await first.fill(out, row, source);
        await second.fill(other.subarray(0, out.length), row, source);
        const runs = equalRuns(chosen).filter((run) => run.value === 1);
        for (let r = 0; r < out.length; r += width) {
          for (const run of runs) out.set(other.subarray(r + run.start, r + run.end), r + run.start);
        }
        spare = other;
      },
    };
  }
  const inner = shape.slice(dim + 1, -1).reduce((product, extent) => product * extent, 1);
  return {
    ...common,
    async fill(out, row, source) {
      const perRow = Uint8Array.from({ length: out.length / width }, (_, r) => {
        return chosen[Math.floor((row + r) / inner) % shape[dim]];
      });
      for (const { value, start, end } of equalRuns(perRow)) {
        await options[value].fill(out.subarray(start * width, end * width), row + start, source);
      }
    },
  };
}

function equalRuns(values: Uint8Array): { value: number; start: number; end: number }[] {
  const runs: { value: number; start: number; end: number }[] = [];
  for (let start = 0; start < values.length; ) {
    let end = start + 1;
    while (values[end] === values[start]) end++;
    runs.push({ value: values[start], start, end });
    start = end;
  }
  return runs;
}

/** All of a tensor at once. */
export async function evaluate(recipe: Recipe, source: TensorSource): Promise<Float32Array> {
  const out = new Float32Array(rowCount(recipe.shape) * rowWidth(recipe.shape));
  await recipe.fill(out, 0, source);
  return out;
}
