// Dropout patterns from Philox 4×32-10 (Salmon et al. 2011), four blocks at a time, a lane each.
// Element i is kept (worth `kept`) if the 16-bit word i mod 8 of block ⌊i/8⌋ is at least the threshold, else 0.
// A block's key is (seed, 0) and its counter (block, 0, step, stream); word j is half j mod 2 (low first) of number ⌊j/2⌋.

@inline function mulHigh(x: v128, m: v128): v128 {
  const even = i64x2.extmul_low_i32x4_u(x, m);
  const odd = i64x2.extmul_high_i32x4_u(x, m);
  return i8x16.shuffle(even, odd, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

// A block's eight 16-bit words become eight elements.
@inline function put(out: usize, words: v128, threshold: v128, kept: v128): void {
  v128.store(out, v128.and(i32x4.ge_u(i32x4.extend_low_i16x8_u(words), threshold), kept));
  v128.store(out, v128.and(i32x4.ge_u(i32x4.extend_high_i16x8_u(words), threshold), kept), 16);
}

/** Writes elements first·8 … first·8 + 32·groups − 1: whole groups of four blocks. The caller keeps room for them. */
export function dropoutMask(
  out: usize, first: u32, groups: i32, seed: u32, step: u32, stream: u32, threshold: i32, kept: f32,
): void {
  const m0 = i32x4.splat(0xd2511f53);
  const m1 = i32x4.splat(0xcd9e8d57);
  const w0: u32 = 0x9e3779b9;
  const w1: u32 = 0xbb67ae85;
  const thresholds = i32x4.splat(threshold);
  const kepts = f32x4.splat(kept);
  let counter = i32x4.add(i32x4.splat(<i32>first), i32x4(0, 1, 2, 3));
  const four = i32x4.splat(4);
  for (let group = 0; group < groups; group++) {
    let x0 = counter;
    let x1 = i32x4.splat(0);
    let x2 = i32x4.splat(<i32>step);
    let x3 = i32x4.splat(<i32>stream);
    let k0 = seed;
    let k1: u32 = 0;
    for (let round = 0; round < 10; round++) {
      const high0 = mulHigh(x0, m0);
      const low0 = i32x4.mul(x0, m0);
      const high1 = mulHigh(x2, m1);
      const low1 = i32x4.mul(x2, m1);
      x0 = v128.xor(v128.xor(high1, x1), i32x4.splat(<i32>k0));
      x1 = low1;
      x2 = v128.xor(v128.xor(high0, x3), i32x4.splat(<i32>k1));
      x3 = low0;
      k0 += w0;
      k1 += w1;
    }
    // From a number a register to a block a register.
    const a = i8x16.shuffle(x0, x1, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const b = i8x16.shuffle(x2, x3, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const c = i8x16.shuffle(x0, x1, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    const d = i8x16.shuffle(x2, x3, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    put(out, i8x16.shuffle(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), thresholds, kepts);
    put(out + 32, i8x16.shuffle(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), thresholds, kepts);
    put(out + 64, i8x16.shuffle(c, d, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23), thresholds, kepts);
    put(out + 96, i8x16.shuffle(c, d, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31), thresholds, kepts);
    out += 128;
    counter = i32x4.add(counter, four);
  }
}
