/**
 * The dropout pattern, bit by bit as program/ops/dropoutMask.ts defines it: Philox 4x32-10 (Salmon et al. 2011) in
 * unsigned integers. XLA's own generator scrambles its key first and gives another pattern.
 */

import { size } from "../../../program/graph.ts";
import { dropoutNumbers } from "../../../program/ops/index.ts";
import { type Emitter, type Ref, typeOf } from "../emitter.ts";
import type { Lowerings } from "./lowering.ts";

export const dropout: Lowerings = {
  dropoutMask: (e, { attrs, outputs }, [key]) => {
    const { shape } = outputs[0];
    const numbers = dropoutNumbers(attrs);
    const blocks = Math.ceil(size(shape) / 8);
    const bits = e.op(`stablehlo.bitcast_convert ${key.name} : (${typeOf(key)}) -> tensor<2xui32>`, "ui32", [2]);
    const [seed, step] = [0, 1].map((i) => e.reshape(e.slice(bits, 0, i, i + 1), []));
    // On a GPU, XLA would otherwise make the last rounds anew for every element of every reader.
    const words = e.barrier(philox(e, e.iota("ui32", [blocks], 0), seed, step, numbers.stream));
    const halves = words.flatMap((word) => [
      e.binary("and", word, e.constant(0xffff, "ui32")),
      e.binary("shift_right_logical", word, e.constant(16, "ui32")),
    ]);
    const table = e.concat(
      halves.map((half) => e.reshape(half, [blocks, 1])),
      1,
    );
    const drawn = e.slice(e.reshape(table, [blocks * 8]), 0, 0, size(shape));
    const kept = e.reshape(e.compare("GE", drawn, e.constant(numbers.threshold, "ui32")), shape);
    return [e.select(kept, e.constant(numbers.kept, "f32"), e.constant(0, "f32"))];
  },
};

/** The four words of each block. @param counters [n], the blocks' numbers @param seed and step scalars */
function philox(e: Emitter, counters: Ref, seed: Ref, step: Ref, stream: number): readonly Ref[] {
  const { shape } = counters;
  const word = (value: number) => e.constant(value, "ui32");
  const product = (x: Ref, factor: number) => {
    const wide = e.binary("multiply", e.convert(x, "ui64"), e.constant(factor, "ui64"));
    const high = e.binary("shift_right_logical", wide, e.constant(32, "ui64"));
    return { high: e.convert(high, "ui32"), low: e.convert(wide, "ui32") };
  };
  const xor = (x: Ref, y: Ref, z: Ref) => e.binary("xor", e.binary("xor", x, y), z);
  let block: readonly Ref[] = [counters, ...[word(0), step, word(stream)].map((one) => e.broadcast(one, shape))];
  let keys: readonly Ref[] = [seed, word(0)];
  for (let round = 0; round < 10; round++) {
    const [first, second] = [product(block[0], 0xd2511f53), product(block[2], 0xcd9e8d57)];
    block = [xor(second.high, block[1], keys[0]), second.low, xor(first.high, block[3], keys[1]), first.low];
    keys = [e.binary("add", keys[0], word(0x9e3779b9)), e.binary("add", keys[1], word(0xbb67ae85))];
  }
  return block;
}
