// AdamW (Loshchilov and Hutter 2019) in place on p, m and v:
//   g = grad · clip,  m = β1·m + (1 − β1)·g,  v = β2·v + (1 − β2)·g²,  p = p·keep − step · m / (√v · root + eps)
// with keep = 1 − rate · decay, step = rate / (1 − β1^t), root = 1 / √(1 − β2^t) made by the caller in float64.
export function adamw(
  p: usize, g: usize, m: usize, v: usize, n: i32,
  clip: f32, beta1: f32, rest1: f32, beta2: f32, rest2: f32, keep: f32, step: f32, root: f32, eps: f32,
): void {
  const clips = f32x4.splat(clip);
  const b1 = f32x4.splat(beta1);
  const r1 = f32x4.splat(rest1);
  const b2 = f32x4.splat(beta2);
  const r2 = f32x4.splat(rest2);
  const keeps = f32x4.splat(keep);
  const steps = f32x4.splat(step);
  const roots = f32x4.splat(root);
  const epss = f32x4.splat(eps);
  let i: usize = 0;
  const whole = <usize>(n & ~3) << 2;
  for (; i < whole; i += 16) {
    const gi = f32x4.mul(v128.load(g + i), clips);
    const mi = f32x4.add(f32x4.mul(v128.load(m + i), b1), f32x4.mul(gi, r1));
    const vi = f32x4.add(f32x4.mul(v128.load(v + i), b2), f32x4.mul(f32x4.mul(gi, gi), r2));
    const denominator = f32x4.add(f32x4.mul(f32x4.sqrt(vi), roots), epss);
    const move = f32x4.div(f32x4.mul(mi, steps), denominator);
    v128.store(m + i, mi);
    v128.store(v + i, vi);
    v128.store(p + i, f32x4.sub(f32x4.mul(v128.load(p + i), keeps), move));
  }
  const end = <usize>n << 2;
  for (; i < end; i += 4) {
    const gi = load<f32>(g + i) * clip;
    const mi = load<f32>(m + i) * beta1 + gi * rest1;
    const vi = load<f32>(v + i) * beta2 + gi * gi * rest2;
    const move = (mi * step) / (sqrt<f32>(vi) * root + eps);
    store<f32>(m + i, mi);
    store<f32>(v + i, vi);
    store<f32>(p + i, load<f32>(p + i) * keep - move);
  }
}
