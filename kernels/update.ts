import { adamw } from "./adamw";
import { dropoutMask } from "./dropout";

// The optimizer's kernels and the dropout pattern, on memory shared by threads. Parts of a tensor are given as `from` to
// `to`, in units that each kernel names, so that a result never depends on how many threads share it.

/** Squares of n numbers added up in two halves: out[0] the first half's sum, out[1] the second's. Parts: halves. */
export function sumOfSquares(x: usize, n: i32, out: usize, from: i32, to: i32): void {
  const half = ((n >> 1) + 15) & ~15;
  for (let part = from; part < to; part++) {
    const first = part ? min(half, n) : 0;
    const last = part ? n : min(half, n);
    let sum: f64 = 0;
    let i = first;
    while (i + 16 <= last) {
      let a = f32x4.splat(0);
      let b = a;
      let c = a;
      let d = a;
      const stop = min(last - 15, i + 8192);
      for (; i < stop; i += 16) {
        const at = x + (<usize>i << 2);
        const w = v128.load(at);
        const y = v128.load(at, 16);
        const z = v128.load(at, 32);
        const u = v128.load(at, 48);
        a = f32x4.add(a, f32x4.mul(w, w));
        b = f32x4.add(b, f32x4.mul(y, y));
        c = f32x4.add(c, f32x4.mul(z, z));
        d = f32x4.add(d, f32x4.mul(u, u));
      }
      a = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
      sum += <f64>f32x4.extract_lane(a, 0) + <f64>f32x4.extract_lane(a, 1);
      sum += <f64>f32x4.extract_lane(a, 2) + <f64>f32x4.extract_lane(a, 3);
    }
    for (; i < last; i++) {
      const v = <f64>load<f32>(x + (<usize>i << 2));
      sum += v * v;
    }
    store<f32>(out + (<usize>part << 2), <f32>sum);
  }
}

/** √ of the sum of 2 · pairs partial sums, in order. */
export function rootOfSums(sums: usize, pairs: i32, out: usize): void {
  let sum: f64 = 0;
  for (let i = 0; i < 2 * pairs; i++) sum += <f64>load<f32>(sums + (<usize>i << 2));
  store<f32>(out, <f32>Math.sqrt(sum));
}

// One AdamW step of `count` numbers, in place on p, m and v; clip, rate and steps are read at their addresses.
// Parts: groups of 16 numbers.
export function adamwRange(
  p: usize, m: usize, v: usize, g: usize, clip: usize, rate: usize, steps: usize,
  beta1: f64, beta2: f64, eps: f32, decay: f64, count: i32, from: i32, to: i32,
): void {
  const t = <f64>load<f32>(steps) + 1;
  const lr = <f64>load<f32>(rate);
  const root: f32 = <f32>(1 / Math.sqrt(1 - Math.pow(beta2, t)));
  const step: f32 = <f32>(lr / (1 - Math.pow(beta1, t)));
  const keep: f32 = <f32>(1 - lr * decay);
  const at = <usize>from << 6;
  adamw(
    p + at, g + at, m + at, v + at, min(to * 16, count) - from * 16, load<f32>(clip),
    <f32>beta1, <f32>(1 - beta1), <f32>beta2, <f32>(1 - beta2), keep, step, root, eps,
  );
}

export function addOne(x: usize): void {
  store<f32>(x, load<f32>(x) + 1);
}

/** The dropout pattern; `key` holds (seed, step). Parts: groups of 32 elements, made whole: `out` has room for the last. */
export function dropoutMaskBlocks(
  key: usize, out: usize, threshold: i32, kept: f32, stream: i32, from: i32, to: i32,
): void {
  dropoutMask(
    out + (<usize>from << 7), from << 2, to - from, load<u32>(key), load<u32>(key, 4), stream, threshold, kept,
  );
}
