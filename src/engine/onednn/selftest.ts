/**
 * What every kind of primitive that the engine takes from oneDNN gives on a few numbers, held against the formulas. A
 * library that is broken, or numbers its constants as none before it, is found out here and not in a training run.
 */
import { erf } from "../reference/erf.ts";
import { Unimplemented, type View } from "./descriptors.ts";
import { type Library, LibraryUnusable } from "./library.ts";
import { Primitives } from "./primitives.ts";
import type { PrimitiveStep } from "./steps.ts";
import { denseStrides } from "./views.ts";

const CLOSE = 1e-5;

/** @throws LibraryUnusable saying which primitive was wrong */
export function selfTest(library: Library): void {
  const memory = new Float32Array(1024);
  let top = 0;
  const view = (dims: readonly number[], values: readonly number[] = []): View => {
    const offset = 4 * top;
    memory.set(values, top);
    top += 16 * Math.ceil(dims.reduce((n, extent) => n * extent, 1) / 16);
    return { offset, dims, strides: denseStrides(dims), type: "f32" };
  };
  const expectAt = (what: string, at: View, expected: readonly number[]) => {
    const found = memory.subarray(at.offset / 4, at.offset / 4 + expected.length);
    if (expected.every((value, i) => Math.abs(found[i] - value) <= CLOSE * Math.max(1, Math.abs(value)))) return;
    throw new LibraryUnusable(`${library.path}: it gets ${what} wrong`);
  };
  try {
    const primitives = new Primitives(library, library.address(memory));
    products(primitives, view, expectAt);
    elementwise(primitives, view, expectAt);
    norms(primitives, view, expectAt);
  } catch (error) {
    if (error instanceof LibraryUnusable) throw error;
    throw new LibraryUnusable(`${library.path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Whether a product of bf16 numbers with an f32 result is there, and right. */
export function halvesWork(library: Library): boolean {
  const memory = new Float32Array(64);
  const halves = new Uint16Array(memory.buffer);
  // 1, 2, 3, 4 and twice the unit matrix.
  halves.set([0x3f80, 0x4000, 0x4040, 0x4080], 0);
  halves.set([0x4000, 0, 0, 0x4000], 32);
  const view = (offset: number, type: View["type"]): View => ({ offset, dims: [2, 2], strides: [2, 1], type });
  try {
    const primitives = new Primitives(library, library.address(memory));
    make(primitives, { do: "matmul", a: view(0, "bf16"), b: view(64, "bf16"), c: view(128, "f32"), after: [] })();
    primitives.wait();
  } catch (error) {
    if (error instanceof Unimplemented) return false;
    throw error;
  }
  return String([...memory.subarray(32, 36)]) === "2,4,6,8";
}

/** Extents of the products that are timed: large enough to fill a core's units, a few milliseconds in all. */
const TIMED = 384;
/** Turns of the clock's race; the quickest of each counts. */
const RACES = 5;

/**
 * Whether products of bf16 numbers are quicker here than those of f32. The processor's flags do not tell: with AMX they
 * are many times quicker, with AVX512-BF16 alone twice as quick on AMD's and slower on Intel's.
 */
export function halvesPay(library: Library): boolean {
  if (!halvesWork(library)) return false;
  const matrix = TIMED * TIMED;
  const memory = new Float32Array(5 * matrix).fill(0.5);
  const view = (place: number, type: View["type"]): View => ({
    ...{ offset: 4 * place * matrix, dims: [TIMED, TIMED], strides: [TIMED, 1] },
    type,
  });
  const primitives = new Primitives(library, library.address(memory));
  const result = view(4, "f32");
  const product = (a: View, b: View) => make(primitives, { do: "matmul", a, b, c: result, after: [] });
  const products = [product(view(0, "f32"), view(1, "f32")), product(view(2, "bf16"), view(3, "bf16"))];
  const best = products.map(() => Number.POSITIVE_INFINITY);
  for (let race = 0; race <= RACES; race++) {
    for (const [i, product] of products.entries()) {
      const start = performance.now();
      product();
      primitives.wait();
      // The first one loads code and memory.
      if (race > 0) best[i] = Math.min(best[i], performance.now() - start);
    }
  }
  return best[1] < best[0];
}

const make = (primitives: Primitives, step: PrimitiveStep<View>) => primitives.make(step, (view) => view);

type MakeView = (dims: readonly number[], values?: readonly number[]) => View;
type Expect = (what: string, at: View, expected: readonly number[]) => void;

function products(primitives: Primitives, view: MakeView, expectAt: Expect): void {
  const [a, b] = [view([2, 2], [1, 2, 3, 4]), view([2, 2], [5, 6, 7, 8])];
  const [bias, residual] = [view([1, 2], [1, -1]), view([2, 2], [0.5, 0.5, 0.5, 1.5])];
  const c = view([2, 2]);
  const after = [
    { kind: "add", operand: residual },
    { kind: "scale", factor: 2 },
  ] as const;
  make(primitives, { do: "matmul", a, b, c, bias, after })();
  expectAt("a product of two matrices", c, [41, 43, 89, 101]);
  const turned = view([2, 2]);
  make(primitives, { do: "reorder", x: { ...a, strides: [1, 2] }, y: turned })();
  expectAt("a transposition", turned, [1, 3, 2, 4]);
  for (const [kind, expected] of [
    ["add", [6, 8, 10, 12]],
    ["sub", [-4, -4, -4, -4]],
    ["mul", [5, 12, 21, 32]],
    ["div", [1 / 5, 2 / 6, 3 / 7, 4 / 8]],
  ] as const) {
    const z = view([2, 2]);
    make(primitives, { do: "binary", algorithm: kind, x: a, y: b, z })();
    expectAt(`the operation ${kind}`, z, expected);
  }
}

function elementwise(primitives: Primitives, view: MakeView, expectAt: Expect): void {
  const xs = [-1, 0.25, 1, 2];
  const tanhForm = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  for (const [algorithm, f, positive = false] of [
    ["relu", (x: number) => Math.max(0, x)],
    ["tanh", Math.tanh],
    ["geluErf", (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2))],
    ["geluTanh", tanhForm],
    ["exp", Math.exp],
    ["sqrt", Math.sqrt, true],
  ] as const) {
    const inputs = positive ? xs.map(Math.abs) : xs;
    const [x, y] = [view([4], inputs), view([4])];
    make(primitives, { do: "eltwise", algorithm, x, y, alpha: 0, beta: 0 })();
    expectAt(`the function ${algorithm}`, y, inputs.map(f));
    if (algorithm !== "geluErf" && algorithm !== "geluTanh") continue;
    const [dy, dx] = [view([4], [1, 2, -1, 0.5]), view([4])];
    make(primitives, { do: "eltwiseBackward", algorithm, x, dy, dx, alpha: 0 })();
    const h = 1e-4;
    const slopes = inputs.map((at, i) => ((f(at + h) - f(at - h)) / (2 * h)) * [1, 2, -1, 0.5][i]);
    expectAt(`the derivative of ${algorithm}`, dx, slopes);
  }
  const [logits, shares] = [view([2, 3], [0, 1, 2, -1e30, 5, 5]), view([2, 3])];
  make(primitives, { do: "softmax", x: logits, y: shares })();
  const sum = 1 + Math.E + Math.E ** 2;
  expectAt("a softmax", shares, [1 / sum, Math.E / sum, Math.E ** 2 / sum, 0, 0.5, 0.5]);
  const [x, y, z] = [view([2], [2, 3]), view([2]), view([2])];
  make(primitives, { do: "eltwise", algorithm: "linear", x, y, alpha: 2, beta: 1 })();
  expectAt("the function linear", y, [5, 7]);
  make(primitives, { do: "eltwise", algorithm: "pow", x, y: z, alpha: 1, beta: -2 })();
  expectAt("the function pow", z, [1 / 4, 1 / 9]);
}

/** Two rows of four: the forward pass, and the backward one by the formula of Ba et al., Layer Normalization. */
function norms(primitives: Primitives, view: MakeView, expectAt: Expect): void {
  const rows = [
    [1, 2, 4, 9],
    [-3, 0, 1, 2],
  ];
  const [gains, shifts, eps] = [[1, 2, 0.5, -1], [0, 1, 2, 3], 1e-5];
  const slopes = [
    [1, -1, 2, 0.5],
    [0, 3, -2, 1],
  ];
  const x = view([2, 4], rows.flat());
  const [gain, shift, dy] = [view([4], gains), view([4], shifts), view([2, 4], slopes.flat())];
  const [y, mean, variance] = [view([2, 4]), view([2]), view([2])];
  const [dx, dgain, dshift] = [view([2, 4]), view([4]), view([4])];
  make(primitives, { do: "layerNorm", x, y, mean, variance, gain, shift, eps })();
  make(primitives, { do: "layerNormBackward", x, dy, dx, mean, variance, gain, shift, dgain, dshift, eps })();
  primitives.wait();
  const mean4 = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / 4;
  const normal = rows.map((row) => {
    const centre = mean4(row);
    const root = Math.sqrt(mean4(row.map((value) => (value - centre) ** 2)) + eps);
    return { root, values: row.map((value) => (value - centre) / root) };
  });
  expectAt(
    "a layer norm",
    y,
    normal.flatMap(({ values }) => values.map((value, i) => value * gains[i] + shifts[i])),
  );
  const column = (i: number, of: (row: number) => number) => of(0) * slopes[0][i] + of(1) * slopes[1][i];
  expectAt(
    "a layer norm's gradient",
    dx,
    normal.flatMap(({ root, values }, r) => {
      const g = slopes[r].map((slope, i) => slope * gains[i]);
      const along = mean4(g.map((slope, i) => slope * values[i]));
      return g.map((slope, i) => (slope - mean4(g) - values[i] * along) / root);
    }),
  );
  expectAt(
    "a gain's gradient",
    dgain,
    gains.map((_, i) => column(i, (row) => normal[row].values[i])),
  );
  expectAt(
    "a shift's gradient",
    dshift,
    gains.map((_, i) => column(i, () => 1)),
  );
}
