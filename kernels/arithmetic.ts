/** x += y. */
export function accumulate(x: usize, y: usize, n: i32): void {
  let i: usize = 0;
  const whole = <usize>(n & ~3) << 2;
  for (; i < whole; i += 16) v128.store(x + i, f32x4.add(v128.load(x + i), v128.load(y + i)));
  const end = <usize>n << 2;
  for (; i < end; i += 4) store<f32>(x + i, load<f32>(x + i) + load<f32>(y + i));
}

/** Σ x², in float64 throughout. */
export function sumSquares(x: usize, n: i32): f64 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  let i: usize = 0;
  const whole = <usize>(n & ~3) << 2;
  for (; i < whole; i += 16) {
    const xi = v128.load(x + i);
    const a = f64x2.promote_low_f32x4(xi);
    const b = f64x2.promote_low_f32x4(i8x16.shuffle(xi, xi, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    low = f64x2.add(low, f64x2.mul(a, a));
    high = f64x2.add(high, f64x2.mul(b, b));
  }
  const both = f64x2.add(low, high);
  let sum = f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1);
  const end = <usize>n << 2;
  for (; i < end; i += 4) {
    const xi = <f64>load<f32>(x + i);
    sum += xi * xi;
  }
  return sum;
}
