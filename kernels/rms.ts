// Root-mean-square norms and rotary turns, rows `from` to `to`, f32; sums inside a row in a fixed order of lanes.

// @ts-ignore: decorator
@inline
function total(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

/** y = x · r · gain of rows [width], and r = 1/√(mean(x²) + eps) of each. */
export function rmsRows(
  x: usize, gain: usize, y: usize, rrms: usize, width: i32, eps: f32, from: i32, to: i32,
): void {
  const bytes = <usize>width << 2;
  for (let row = from; row < to; row++) {
    const at = <usize>row * bytes;
    let sum4 = f32x4.splat(0);
    let sum: f32 = 0;
    let i: usize = 0;
    for (; i + 16 <= bytes; i += 16) {
      const v = v128.load(x + at + i);
      sum4 = f32x4.add(sum4, f32x4.mul(v, v));
    }
    for (; i < bytes; i += 4) sum += load<f32>(x + at + i) * load<f32>(x + at + i);
    const r = <f32>1 / Mathf.sqrt((sum + total(sum4)) / <f32>width + eps);
    store<f32>(rrms + (<usize>row << 2), r);
    const r4 = f32x4.splat(r);
    for (i = 0; i + 16 <= bytes; i += 16) {
      v128.store(y + at + i, f32x4.mul(f32x4.mul(v128.load(x + at + i), r4), v128.load(gain + i)));
    }
    for (; i < bytes; i += 4) store<f32>(y + at + i, load<f32>(x + at + i) * r * load<f32>(gain + i));
  }
}

/**
 * Of the same rows: dx = r · (h − x̂ · avg(h·x̂)) with x̂ = x·r and h = g·gain (0: not asked for), and g·x̂, whose sums over
 * the rows are the gain's gradient (0: not asked for).
 */
export function rmsGradRows(
  g: usize, x: usize, gain: usize, rrms: usize, dx: usize, products: usize, width: i32, from: i32, to: i32,
): void {
  const bytes = <usize>width << 2;
  for (let row = from; row < to; row++) {
    const at = <usize>row * bytes;
    const r = load<f32>(rrms + (<usize>row << 2));
    const r4 = f32x4.splat(r);
    let sum4 = f32x4.splat(0);
    let sum: f32 = 0;
    let i: usize = 0;
    for (; i + 16 <= bytes; i += 16) {
      const product = f32x4.mul(v128.load(g + at + i), f32x4.mul(v128.load(x + at + i), r4));
      if (products) v128.store(products + at + i, product);
      sum4 = f32x4.add(sum4, f32x4.mul(product, v128.load(gain + i)));
    }
    for (; i < bytes; i += 4) {
      const product = load<f32>(g + at + i) * (load<f32>(x + at + i) * r);
      if (products) store<f32>(products + at + i, product);
      sum += product * load<f32>(gain + i);
    }
    if (!dx) continue;
    const mean = (sum + total(sum4)) / <f32>width;
    const mean4 = f32x4.splat(mean);
    for (i = 0; i + 16 <= bytes; i += 16) {
      const h = f32x4.mul(v128.load(g + at + i), v128.load(gain + i));
      const normal = f32x4.mul(v128.load(x + at + i), r4);
      v128.store(dx + at + i, f32x4.mul(f32x4.sub(h, f32x4.mul(normal, mean4)), r4));
    }
    for (; i < bytes; i += 4) {
      const h = load<f32>(g + at + i) * load<f32>(gain + i);
      store<f32>(dx + at + i, (h - load<f32>(x + at + i) * r * mean) * r);
    }
  }
}

/**
 * Rotary positions: rows [heads · 2 · half], row r at position r mod length, each pair of units i and i + half of a head
 * turned by `turns` [2, length, half], cosines and sines; `sign` 1 forward, −1 back.
 */
export function turnRows(
  x: usize, y: usize, turns: usize, length: i32, heads: i32, half: i32, sign: f32, from: i32, to: i32,
): void {
  const bytes = <usize>half << 2;
  const s4 = f32x4.splat(sign);
  const sines = turns + <usize>length * bytes;
  for (let row = from; row < to; row++) {
    const cos = turns + <usize>(row % length) * bytes;
    const sin = sines + <usize>(row % length) * bytes;
    for (let head = 0; head < heads; head++) {
      const at = <usize>(row * heads + head) * 2 * bytes;
      let i: usize = 0;
      for (; i + 16 <= bytes; i += 16) {
        const a = v128.load(x + at + i);
        const b = v128.load(x + at + bytes + i);
        const c = v128.load(cos + i);
        const s = f32x4.mul(v128.load(sin + i), s4);
        v128.store(y + at + i, f32x4.sub(f32x4.mul(a, c), f32x4.mul(b, s)));
        v128.store(y + at + bytes + i, f32x4.add(f32x4.mul(b, c), f32x4.mul(a, s)));
      }
      for (; i < bytes; i += 4) {
        const a = load<f32>(x + at + i);
        const b = load<f32>(x + at + bytes + i);
        const c = load<f32>(cos + i);
        const s = load<f32>(sin + i) * sign;
        store<f32>(y + at + i, a * c - b * s);
        store<f32>(y + at + bytes + i, b * c + a * s);
      }
    }
  }
}
