// Row kernels: each works on rows `from` to `to` of its tensors, so that threads share a tensor without touching the
// same bytes. f32 throughout; sums inside a row run in a fixed order of lanes, so a result does not depend on the split.

// @ts-ignore: decorator
@inline
function total(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  );
}

/**
 * What attention may not read, before its softmax: rows of scores [batch · heads · queries, keys] get a bias, and
 * the lowest number for the keys that row r can't see: those more than `before` below or `after` above its own place,
 * (r mod queries) + keys − queries. `perBatch` rows share a bias row [keys] (0: no bias). Where `ofQueries` [batch, queries] and `ofKeys` [batch, keys]
 * are given, the documents of both, a row sees its own document's keys alone.
 */
export function hideRows(
  x: usize, keys: i32, queries: i32, before: i32, after: i32, bias: usize, perBatch: i32, ofQueries: usize, ofKeys: usize,
  from: i32, to: i32,
): void {
  const bytes = <usize>keys << 2;
  const least = f32x4.splat(-3.4e38);
  for (let row = from; row < to; row++) {
    const at = x + <usize>row * bytes;
    const place = (row % queries) + keys - queries;
    const limit = min(keys, place + after + 1);
    const first = <usize>max(0, place - before) << 2;
    for (let k: usize = 0; k < first; k += 4) store<f32>(at + k, -3.4e38);
    let i = at + (<usize>limit << 2);
    const end = at + bytes;
    for (; i < end && (i - at) & 15; i += 4) store<f32>(i, -3.4e38);
    for (; i + 16 <= end; i += 16) v128.store(i, least);
    for (; i < end; i += 4) store<f32>(i, -3.4e38);
    const seen = <usize>limit << 2;
    if (ofQueries) {
      const batch = row / perBatch;
      const own = load<i32>(ofQueries + (<usize>(batch * queries + (row % queries)) << 2));
      const others = ofKeys + <usize>batch * bytes;
      for (let k = first; k < seen; k += 4) {
        if (load<i32>(others + k) != own) store<f32>(at + k, -3.4e38);
      }
    }
    if (!bias) continue;
    const b = bias + <usize>(row / perBatch) * bytes;
    let j = first;
    for (; j + 16 <= seen; j += 16) v128.store(at + j, f32x4.add(v128.load(at + j), v128.load(b + j)));
    for (; j < seen; j += 4) store<f32>(at + j, load<f32>(at + j) + load<f32>(b + j));
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

/**
 * Rows of logits and of their softmax, `shares` [rows, classes]: weight · −log of the label's share. Where that share is
 * too small for a float to tell, the loss is taken from the logits.
 */
export function crossEntropyOfShares(
  logits: usize, shares: usize, labels: usize, weights: usize, losses: usize, classes: i32, from: i32, to: i32,
): void {
  for (let row = from; row < to; row++) {
    const r4 = <usize>row << 2;
    const at = <usize>row * (<usize>classes << 2);
    const label = <usize>load<i32>(labels + r4) << 2;
    const share = load<f32>(shares + at + label);
    let loss: f64;
    if (share > 1e-30) {
      loss = -Math.log(<f64>share);
    } else {
      loss = logOfSum(logits + at, shares + at, classes) - <f64>load<f32>(logits + at + label);
    }
    store<f32>(losses + r4, load<f32>(weights + r4) * <f32>loss);
  }
}

/** log Σ e^logits of each row, from its softmax. */
export function logOfSums(logits: usize, shares: usize, out: usize, classes: i32, from: i32, to: i32): void {
  for (let row = from; row < to; row++) {
    const at = <usize>row * (<usize>classes << 2);
    store<f32>(out + (<usize>row << 2), <f32>logOfSum(logits + at, shares + at, classes));
  }
}

// By the largest entry, whose share is never 0.
function logOfSum(logits: usize, shares: usize, classes: i32): f64 {
  let best: usize = 0;
  for (let i: usize = 4; i < <usize>classes << 2; i += 4) {
    if (load<f32>(logits + i) > load<f32>(logits + best)) best = i;
  }
  return <f64>load<f32>(logits + best) - Math.log(<f64>load<f32>(shares + best));
}

/** scale · weight · (share − one-hot); `out` may be `shares` itself. `scale` is read at its address. */
export function crossEntropyGradOfShares(
  shares: usize, labels: usize, weights: usize, scale: usize, out: usize, classes: i32, from: i32, to: i32,
): void {
  const bytes = <usize>classes << 2;
  for (let row = from; row < to; row++) {
    const at = <usize>row * bytes;
    const r4 = <usize>row << 2;
    const weight = load<f32>(weights + r4) * load<f32>(scale);
    const w4 = f32x4.splat(weight);
    let i: usize = 0;
    for (; i + 16 <= bytes; i += 16) v128.store(out + at + i, f32x4.mul(v128.load(shares + at + i), w4));
    for (; i < bytes; i += 4) store<f32>(out + at + i, load<f32>(shares + at + i) * weight);
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
 * out[ids[i]] += updates[i] for all i, out [rows, width] made 0 before if `clear` is not 0, in columns `from` to `to`
 * alone: repeated ids add up in the order of i whatever the split.
 */
export function scatterAddColumns(
  ids: usize, updates: usize, out: usize, count: i32, rows: i32, width: i32, clear: i32, from: i32, to: i32,
): void {
  const bytes = <usize>width << 2;
  const first = <usize>from << 2;
  const last = <usize>to << 2;
  if (clear) for (let row = 0; row < rows; row++) memory.fill(out + <usize>row * bytes + first, 0, last - first);
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
