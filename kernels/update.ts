// The optimizer's kernels and the dropout pattern. Parts of a tensor are given as `from` to `to`, in units that each
// kernel names, so that a result never depends on how many threads share it.

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
  const correction1 = 1 - Math.pow(beta1, t);
  const root2: f32 = <f32>(1 / Math.sqrt(1 - Math.pow(beta2, t)));
  const step: f32 = <f32>(lr / correction1);
  const keep: f32 = <f32>(1 - lr * decay);
  const factor = load<f32>(clip);
  const b1: f32 = <f32>beta1;
  const c1: f32 = <f32>(1 - beta1);
  const b2: f32 = <f32>beta2;
  const c2: f32 = <f32>(1 - beta2);
  const F = f32x4.splat(factor);
  const K = f32x4.splat(keep);
  const B1 = f32x4.splat(b1);
  const C1 = f32x4.splat(c1);
  const B2 = f32x4.splat(b2);
  const C2 = f32x4.splat(c2);
  const R = f32x4.splat(root2);
  const E = f32x4.splat(eps);
  const S = f32x4.splat(step);
  const last = min(to * 16, count);
  let i = from * 16;
  for (; i + 4 <= last; i += 4) {
    const at = <usize>i << 2;
    const grad = f32x4.mul(v128.load(g + at), F);
    const first = f32x4.add(f32x4.mul(v128.load(m + at), B1), f32x4.mul(grad, C1));
    v128.store(m + at, first);
    const second = f32x4.add(f32x4.mul(v128.load(v + at), B2), f32x4.mul(f32x4.mul(grad, grad), C2));
    v128.store(v + at, second);
    const denominator = f32x4.add(f32x4.mul(f32x4.sqrt(second), R), E);
    const kept = f32x4.mul(v128.load(p + at), K);
    v128.store(p + at, f32x4.sub(kept, f32x4.div(f32x4.mul(first, S), denominator)));
  }
  for (; i < last; i++) {
    const at = <usize>i << 2;
    const grad = load<f32>(g + at) * factor;
    const first = load<f32>(m + at) * b1 + grad * c1;
    store<f32>(m + at, first);
    const second = load<f32>(v + at) * b2 + grad * grad * c2;
    store<f32>(v + at, second);
    store<f32>(p + at, load<f32>(p + at) * keep - (first * step) / (sqrt<f32>(second) * root2 + eps));
  }
}

export function addOne(x: usize): void {
  store<f32>(x, load<f32>(x) + 1);
}

// @ts-ignore: decorator
@inline
function low(a: v128, m: v128): v128 {
  return i32x4.mul(a, m);
}

// High halves of the unsigned products of four lanes.
// @ts-ignore: decorator
@inline
function high(a: v128, m: v128): v128 {
  const even = i64x2.extmul_low_i32x4_u(a, m);
  const odd = i64x2.extmul_high_i32x4_u(a, m);
  return v128.shuffle<i32>(even, odd, 1, 3, 5, 7);
}

/**
 * The dropout pattern of the program's dropoutMask: Philox 4×32-10, four blocks at a time (32 elements).
 * `key` holds (seed, step). Parts: groups of 32 elements; whole groups are made, so `out` has room for the last one.
 */
export function dropoutMaskBlocks(
  key: usize, out: usize, threshold: i32, kept: f32, stream: i32, from: i32, to: i32,
): void {
  const seed = load<i32>(key);
  const step = load<i32>(key + 4);
  const M0 = i32x4.splat(0xd2511f53);
  const M1 = i32x4.splat(0xcd9e8d57);
  const T = i32x4.splat(threshold);
  const ONE = f32x4.splat(kept);
  const HALF = i32x4.splat(0xffff);
  for (let group = from; group < to; group++) {
    const block = group << 2;
    let x0 = i32x4.add(i32x4.splat(block), i32x4(0, 1, 2, 3));
    let x1 = i32x4.splat(0);
    let x2 = i32x4.splat(step);
    let x3 = i32x4.splat(stream);
    let k0 = seed;
    let k1 = 0;
    for (let round = 0; round < 10; round++) {
      const h0 = high(x0, M0);
      const l0 = low(x0, M0);
      const h1 = high(x2, M1);
      const l1 = low(x2, M1);
      x0 = v128.xor(v128.xor(h1, x1), i32x4.splat(k0));
      x1 = l1;
      x2 = v128.xor(v128.xor(h0, x3), i32x4.splat(k1));
      x3 = l0;
      k0 += 0x9e3779b9;
      k1 += 0xbb67ae85;
    }
    // Block b's words are lane b of x0 … x3, low half first.
    const at = out + (<usize>group << 7);
    const a = v128.shuffle<i32>(x0, x1, 0, 4, 1, 5);
    const b = v128.shuffle<i32>(x0, x1, 2, 6, 3, 7);
    const c = v128.shuffle<i32>(x2, x3, 0, 4, 1, 5);
    const d = v128.shuffle<i32>(x2, x3, 2, 6, 3, 7);
    emit(at, v128.shuffle<i64>(a, c, 0, 2), T, ONE, HALF);
    emit(at + 32, v128.shuffle<i64>(a, c, 1, 3), T, ONE, HALF);
    emit(at + 64, v128.shuffle<i64>(b, d, 0, 2), T, ONE, HALF);
    emit(at + 96, v128.shuffle<i64>(b, d, 1, 3), T, ONE, HALF);
  }
}

// The eight elements of one block's four words.
// @ts-ignore: decorator
@inline
function emit(at: usize, words: v128, threshold: v128, kept: v128, half: v128): void {
  const even = v128.and(i32x4.ge_s(v128.and(words, half), threshold), kept);
  const odd = v128.and(i32x4.ge_s(i32x4.shr_u(words, 16), threshold), kept);
  v128.store(at, v128.shuffle<i32>(even, odd, 0, 4, 1, 5));
  v128.store(at + 16, v128.shuffle<i32>(even, odd, 2, 6, 3, 7));
}
