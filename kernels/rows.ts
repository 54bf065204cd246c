// Row kernels: each works on rows `from` to `to` of its tensors, so that threads share a tensor without touching the
// same bytes. f32 throughout; sums inside a row run in a fixed order of lanes, so a result does not depend on the split.

// e^x for four lanes: 2^n · e^r with r in [−ln2/2, ln2/2] (Cephes' expf polynomial; relative error below 2e-7).
// @ts-ignore: decorator
@inline
function exp4(given: v128): v128 {
  const x = f32x4.min(f32x4.max(given, f32x4.splat(-87.3)), f32x4.splat(88.3));
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.44269504088896341)));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693359375)));
  r = f32x4.add(r, f32x4.mul(n, f32x4.splat(2.12194440e-4)));
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(5.0000001201e-1));
  p = f32x4.add(f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(p, power);
}

// @ts-ignore: decorator
@inline
function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0);
}

// @ts-ignore: decorator
@inline
function total(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

// @ts-ignore: decorator
@inline
function largest(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  );
}

/**
 * Attention's softmax, in place: rows of scores [batch · heads · queries, keys] are scaled, biased and normalised.
 * `perBatch` rows share a bias row [keys] (0: no bias). Causal: row r reads keys up to (r mod queries) + keys − queries.
 * `dropped` (0: none) receives the probabilities times `mask`.
 */
export function softmaxRows(
  x: usize, keys: i32, queries: i32, scale: f32, causal: i32, bias: usize, perBatch: i32, mask: usize, dropped: usize,
  from: i32, to: i32,
): void {
  const bytes = <usize>keys << 2;
  const s4 = f32x4.splat(scale);
  for (let row = from; row < to; row++) {
    const at = x + <usize>row * bytes;
    const limit = causal ? (row % queries) + keys - queries + 1 : keys;
    const end = at + (<usize>limit << 2);
    const vectors = at + (<usize>(limit & ~3) << 2);
    let b: usize = bias ? bias + <usize>(row / perBatch) * bytes : 0;
    let m4 = f32x4.splat(-3.4e38);
    let m: f32 = -3.4e38;
    let i = at;
    for (; i < vectors; i += 16) {
      let v = f32x4.mul(v128.load(i), s4);
      if (bias) v = f32x4.add(v, v128.load(b + (i - at)));
      v128.store(i, v);
      m4 = f32x4.max(m4, v);
    }
    for (; i < end; i += 4) {
      let v = load<f32>(i) * scale;
      if (bias) v += load<f32>(b + (i - at));
      store<f32>(i, v);
      m = max(m, v);
    }
    m = max(m, largest(m4));
    m4 = f32x4.splat(m);
    let sum4 = f32x4.splat(0);
    let sum: f32 = 0;
    for (i = at; i < vectors; i += 16) {
      const e = exp4(f32x4.sub(v128.load(i), m4));
      v128.store(i, e);
      sum4 = f32x4.add(sum4, e);
    }
    for (; i < end; i += 4) {
      const e = exp1(load<f32>(i) - m);
      store<f32>(i, e);
      sum += e;
    }
    const inverse: f32 = 1 / (sum + total(sum4));
    const inverse4 = f32x4.splat(inverse);
    for (i = at; i < vectors; i += 16) v128.store(i, f32x4.mul(v128.load(i), inverse4));
    for (; i < end; i += 4) store<f32>(i, load<f32>(i) * inverse);
    if (limit < keys) memory.fill(end, 0, <usize>(keys - limit) << 2);
    if (mask) {
      const shift = <usize>row * bytes;
      i = 0;
      for (; i + 16 <= bytes; i += 16) {
        v128.store(dropped + shift + i, f32x4.mul(v128.load(at + i), v128.load(mask + shift + i)));
      }
      for (; i < bytes; i += 4) {
        store<f32>(dropped + shift + i, load<f32>(at + i) * load<f32>(mask + shift + i));
      }
    }
  }
}

/**
 * The gradient through attention's softmax, in place on `g` [batch · heads · queries, keys], the gradient of the
 * (dropped) probabilities: scale · P ∘ (g ∘ mask − r), r = Σ G ∘ O over the head's width; G and O are
 * [batch, queries, heads · width].
 */
export function softmaxGradRows(
  g: usize, p: usize, mask: usize, outGrad: usize, out: usize, keys: i32, queries: i32, heads: i32, width: i32,
  scale: f32, from: i32, to: i32,
): void {
  const bytes = <usize>keys << 2;
  const s4 = f32x4.splat(scale);
  for (let row = from; row < to; row++) {
    const query = row % queries;
    const head = (row / queries) % heads;
    const batch = row / (queries * heads);
    const where = (<usize>((batch * queries + query) * heads + head) * <usize>width) << 2;
    let dot4 = f32x4.splat(0);
    let dot: f32 = 0;
    const wide = <usize>width << 2;
    let i: usize = 0;
    for (; i + 16 <= wide; i += 16) {
      dot4 = f32x4.add(dot4, f32x4.mul(v128.load(outGrad + where + i), v128.load(out + where + i)));
    }
    for (; i < wide; i += 4) dot += load<f32>(outGrad + where + i) * load<f32>(out + where + i);
    dot += total(dot4);
    dot4 = f32x4.splat(dot);
    const at = <usize>row * bytes;
    i = 0;
    for (; i + 16 <= bytes; i += 16) {
      let v = v128.load(g + at + i);
      if (mask) v = f32x4.mul(v, v128.load(mask + at + i));
      v128.store(g + at + i, f32x4.mul(f32x4.mul(v128.load(p + at + i), f32x4.sub(v, dot4)), s4));
    }
    for (; i < bytes; i += 4) {
      let v = load<f32>(g + at + i);
      if (mask) v *= load<f32>(mask + at + i);
      store<f32>(g + at + i, load<f32>(p + at + i) * (v - dot) * scale);
    }
  }
}

/** Rows of logits [rows, classes]: log Σ e^logits, and weight · (that − the label's logit). */
export function crossEntropyRows(
  logits: usize, labels: usize, weights: usize, logsumexp: usize, losses: usize, classes: i32, from: i32, to: i32,
): void {
  const bytes = <usize>classes << 2;
  for (let row = from; row < to; row++) {
    const at = logits + <usize>row * bytes;
    const end = at + bytes;
    const vectors = at + (<usize>(classes & ~3) << 2);
    let m4 = f32x4.splat(-3.4e38);
    let m: f32 = -3.4e38;
    let i = at;
    for (; i < vectors; i += 16) m4 = f32x4.max(m4, v128.load(i));
    for (; i < end; i += 4) m = max(m, load<f32>(i));
    m = max(m, largest(m4));
    m4 = f32x4.splat(m);
    let sum4 = f32x4.splat(0);
    let sum: f32 = 0;
    for (i = at; i < vectors; i += 16) sum4 = f32x4.add(sum4, exp4(f32x4.sub(v128.load(i), m4)));
    for (; i < end; i += 4) sum += exp1(load<f32>(i) - m);
    const lse: f32 = m + <f32>Math.log(<f64>(sum + total(sum4)));
    const r4 = <usize>row << 2;
    store<f32>(logsumexp + r4, lse);
    const label = load<i32>(labels + r4);
    store<f32>(losses + r4, load<f32>(weights + r4) * (lse - load<f32>(at + (<usize>label << 2))));
  }
}

/** scale · weight · (softmax − one-hot), from the logits and their saved log Σ e^logits. `scale` is read at its address. */
export function crossEntropyGradRows(
  logits: usize, labels: usize, weights: usize, logsumexp: usize, scale: usize, out: usize, classes: i32,
  from: i32, to: i32,
): void {
  const bytes = <usize>classes << 2;
  for (let row = from; row < to; row++) {
    const at = <usize>row * bytes;
    const r4 = <usize>row << 2;
    const weight = load<f32>(weights + r4) * load<f32>(scale);
    const lse = load<f32>(logsumexp + r4);
    const w4 = f32x4.splat(weight);
    const l4 = f32x4.splat(lse);
    let i: usize = 0;
    for (; i + 16 <= bytes; i += 16) {
      v128.store(out + at + i, f32x4.mul(exp4(f32x4.sub(v128.load(logits + at + i), l4)), w4));
    }
    for (; i < bytes; i += 4) store<f32>(out + at + i, exp1(load<f32>(logits + at + i) - lse) * weight);
    const label = out + at + (<usize>load<i32>(labels + r4) << 2);
    store<f32>(label, load<f32>(label) - weight);
  }
}

/** out[i] = table[ids[i]], rows of `width`. */
export function gatherRows(table: usize, ids: usize, out: usize, width: i32, from: i32, to: i32): void {
  const bytes = <usize>width << 2;
  for (let i = from; i < to; i++) {
    memory.copy(out + <usize>i * bytes, table + <usize>load<i32>(ids + (<usize>i << 2)) * bytes, bytes);
  }
}

/**
 * out [rows, width] = 0, then out[ids[i]] += updates[i] for all i, in columns `from` to `to` alone: repeated ids add up
 * in the order of i whatever the split.
 */
export function scatterAddColumns(
  ids: usize, updates: usize, out: usize, count: i32, rows: i32, width: i32, from: i32, to: i32,
): void {
  const bytes = <usize>width << 2;
  const first = <usize>from << 2;
  const last = <usize>to << 2;
  for (let row = 0; row < rows; row++) memory.fill(out + <usize>row * bytes + first, 0, last - first);
  for (let i = 0; i < count; i++) {
    const at = out + <usize>load<i32>(ids + (<usize>i << 2)) * bytes;
    const update = updates + <usize>i * bytes;
    let c = first;
    for (; c + 16 <= last; c += 16) {
      v128.store(at + c, f32x4.add(v128.load(at + c), v128.load(update + c)));
    }
    for (; c < last; c += 4) store<f32>(at + c, load<f32>(at + c) + load<f32>(update + c));
  }
}

/** The sum of `count` numbers, in order, to `out`. */
export function sumInOrder(x: usize, count: i32, out: usize): void {
  let sum: f64 = 0;
  for (let i = 0; i < count; i++) sum += <f64>load<f32>(x + (<usize>i << 2));
  store<f32>(out, <f32>sum);
}
