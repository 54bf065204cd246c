/** Whether any of n float32 numbers is NaN or infinite: those whose exponent is all ones. */
export function anyNotFinite(x: usize, n: i32): bool {
  const exponent = i32x4.splat(0x7f800000);
  let found = i32x4.splat(0);
  let i: usize = 0;
  // Four at a time for the sake of speed: one would wait for the other.
  const blocks = <usize>(n & ~15) << 2;
  for (; i < blocks; i += 64) {
    const a = i32x4.eq(v128.and(v128.load(x + i), exponent), exponent);
    const b = i32x4.eq(v128.and(v128.load(x + i, 16), exponent), exponent);
    const c = i32x4.eq(v128.and(v128.load(x + i, 32), exponent), exponent);
    const d = i32x4.eq(v128.and(v128.load(x + i, 48), exponent), exponent);
    found = v128.or(found, v128.or(v128.or(a, b), v128.or(c, d)));
  }
  let any = v128.any_true(found);
  const end = <usize>n << 2;
  for (; i < end; i += 4) any = any || (load<i32>(x + i) & 0x7f800000) == 0x7f800000;
  return any;
}
