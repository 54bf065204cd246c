/**
 * Safetensors files and indexes that are damaged in every way: read as a simple parser of our own reads them, or refused.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { openWeights } from "../../src/checkpoint/weights.ts";
import { writeWeights } from "../../src/checkpoint/write.ts";
import { UserError } from "../../src/util/errors.ts";
import { type Dice, fuzz, mutate, quickFolder } from "./fuzz.ts";
import { howMany } from "./scale.ts";

const tensors = [
  { name: "bert.a.weight", dtype: "F32", shape: [4, 3] },
  { name: "bert.b.weight", dtype: "F16", shape: [2, 5] },
  { name: "bert.c.bias", dtype: "BF16", shape: [7] },
  { name: "d", dtype: "F32", shape: [] },
  { name: "e", dtype: "F32", shape: [0, 3] },
] as const;

async function write(folder: string, seed: number, maxShardBytes?: number): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const sources = tensors.map((tensor) => ({
    ...tensor,
    data: async () =>
      Float32Array.from({ length: tensor.shape.reduce((a: number, b) => a * b, 1) }, (_, i) => Math.sin(seed + i) * 3),
  }));
  await writeWeights(folder, sources, { maxShardBytes });
}

/** Number formats by their definitions, a bit field at a time. */
function number(view: DataView, at: number, dtype: string): number {
  switch (dtype) {
    case "F32":
      return view.getFloat32(at, true);
    case "F64":
      return Math.fround(view.getFloat64(at, true));
    case "F16":
      return bits(view.getUint16(at, true), 5, 10);
    case "BF16":
      return bits(view.getUint16(at, true), 8, 7);
    case "I64":
      return Math.fround(Number(view.getBigInt64(at, true)));
    case "U64":
      return Math.fround(Number(view.getBigUint64(at, true)));
    case "I32":
      return Math.fround(view.getInt32(at, true));
    case "U32":
      return Math.fround(view.getUint32(at, true));
    case "I16":
      return view.getInt16(at, true);
    case "U16":
      return view.getUint16(at, true);
    case "I8":
      return view.getInt8(at);
    default:
      return view.getUint8(at);
  }
}

function bits(word: number, exponentBits: number, fractionBits: number): number {
  const sign = word >> 15 === 1 ? -1 : 1;
  const exponent = (word >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = (word & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

const widths: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

/** What a file says its tensors are: JSON.parse, and the bytes between the offsets. */
function simply(file: Uint8Array): Map<string, { shape: number[]; values: number[] | undefined }> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const length = Number(view.getBigUint64(0, true));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    new TextDecoder().decode(file.subarray(8, 8 + length)),
  );
  const found = new Map<string, { shape: number[]; values: number[] | undefined }>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const width = widths[dtype];
    const values: number[] = [];
    if (width !== undefined) {
      for (let at = data_offsets[0]; at < data_offsets[1]; at += width)
        values.push(number(view, 8 + length + at, dtype));
      expect(values).toHaveLength(shape.reduce((a, b) => a * b, 1));
    }
    found.set(name, { shape, values: width === undefined ? undefined : values });
  }
  return found;
}

/** Reads a file that may be anything; what is accepted is what the simple parser finds. */
async function read(path: string, bytes: Uint8Array): Promise<void> {
  const file = await openSafetensors(path);
  try {
    const expected = simply(bytes);
    expect([...file.tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, { shape, values }] of expected) {
      expect(file.info(name).shape).toEqual(shape);
      // One-byte floats and the like are known by name, and refused as numbers.
      if (values !== undefined) expect(Array.from(await file.readF32(name))).toEqual(values);
    }
  } finally {
    await file.close();
  }
}

/** Header of one file and body of another, lengths that lie, and plain mutations. */
function damaged(dice: Dice, file: Uint8Array, other: Uint8Array): Uint8Array {
  const length = (of: Uint8Array) => Number(new DataView(of.buffer, of.byteOffset).getBigUint64(0, true));
  switch (dice.below(8)) {
    case 0: {
      const [cut, from] = [8 + length(file), 8 + length(other)];
      const body = other.subarray(from);
      const all = new Uint8Array(cut + body.length);
      all.set(file.subarray(0, cut));
      all.set(body, cut);
      return dice.below(2) === 0 ? all : mutate(all, dice, other);
    }
    case 1: {
      const copy = file.slice();
      const claimed = dice.of([
        0n,
        1n,
        7n,
        BigInt(length(file) + dice.below(9) - 4),
        100_000_000n,
        2n ** 31n,
        2n ** 53n,
        2n ** 63n,
        2n ** 64n - 1n,
      ]);
      new DataView(copy.buffer).setBigUint64(0, claimed, true);
      return copy;
    }
    case 2: {
      // In the data alone: always to be read.
      const copy = file.slice();
      const start = 8 + length(file);
      copy[start + dice.below(copy.length - start)] = dice.below(256);
      return copy;
    }
    case 3: {
      // Behind the header's own length, so that only the JSON is wrong.
      const header = mutate(file.subarray(8, 8 + length(file)), dice, other.subarray(8, 8 + length(other)));
      const body = file.subarray(8 + length(file));
      const all = new Uint8Array(8 + header.length + body.length);
      new DataView(all.buffer).setBigUint64(0, BigInt(header.length), true);
      all.set(header, 8);
      all.set(body, 8 + header.length);
      return all;
    }
    default:
      return mutate(file, dice, other);
  }
}

describe("safetensors files", async () => {
  const folder = quickFolder();
  await write(join(folder, "one"), 1);
  const first = new Uint8Array(readFileSync(join(folder, "one", "model.safetensors")));
  await writeWeights(folder, [{ name: "other", dtype: "F32", shape: [9], data: async () => new Float32Array(9) }]);
  const second = new Uint8Array(readFileSync(join(folder, "model.safetensors")));
  const path = join(folder, "fuzzed");

  it("of every length below their own are refused", async () => {
    for (let length = 0; length < first.length; length++) {
      writeFileSync(path, first.subarray(0, length));
      await expect(openSafetensors(path), String(length)).rejects.toThrow(UserError);
    }
    writeFileSync(path, first);
    await read(path, first);
  });

  it("of random damage are read as they are, or refused", async () => {
    const tally = await fuzz(howMany(12_000, 80_000), 1, 4096, async (dice) => {
      const bytes = damaged(dice, first, second);
      writeFileSync(path, bytes);
      await read(path, bytes);
    });
    console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
    expect(tally.read).toBeGreaterThan(500);
    expect(tally.reasons.size).toBeGreaterThan(15);
  });
});

describe("shards and their index", async () => {
  const folder = join(quickFolder(), "model");
  await write(folder, 2, 60);
  const index = join(folder, "model.safetensors.index.json");
  const { weight_map }: { weight_map: Record<string, string> } = JSON.parse(readFileSync(index, "utf8"));
  const paths = [index, ...[...new Set(Object.values(weight_map))].map((shard) => join(folder, shard))];
  const whole = new Map(paths.map((path) => [path, new Uint8Array(readFileSync(path))]));
  const bytesOf = (path: string) => whole.get(path) ?? new Uint8Array();

  async function readAll(): Promise<void> {
    const weights = await openWeights(folder);
    try {
      const { weight_map: map }: { weight_map: Record<string, string> } = JSON.parse(readFileSync(index, "utf8"));
      expect([...weights.names()].sort()).toEqual(Object.keys(map).sort());
      for (const name of weights.names()) {
        const expected = simply(new Uint8Array(readFileSync(join(folder, map[name])))).get(name);
        if (expected?.values !== undefined) expect(Array.from(await weights.readF32(name))).toEqual(expected.values);
      }
    } finally {
      await weights.close();
    }
  }

  it("an index of every length below its own is refused", async () => {
    // The line break at its end may be missing.
    for (let length = 0; length < bytesOf(index).length - 1; length++) {
      writeFileSync(index, bytesOf(index).subarray(0, length));
      await expect(openWeights(folder), String(length)).rejects.toThrow(UserError);
    }
    writeFileSync(index, bytesOf(index));
    await readAll();
  });

  it("of random damage are read as they are, or refused", async () => {
    const tally = await fuzz(howMany(4_000, 20_000), 1_000_000, 4096, async (dice) => {
      const victim = dice.below(4) === 0 ? dice.of(paths.slice(1)) : index;
      const [own, other] = [bytesOf(victim), bytesOf(dice.of(paths.slice(1)))];
      writeFileSync(victim, victim === index ? mutate(own, dice, other) : damaged(dice, own, other));
      try {
        await readAll();
      } finally {
        writeFileSync(victim, bytesOf(victim));
      }
    });
    console.info(`${tally.read} read, ${tally.refused} refused for ${tally.reasons.size} reasons`);
    expect(tally.read).toBeGreaterThan(100);
    expect(tally.reasons.size).toBeGreaterThan(10);
  });
});
