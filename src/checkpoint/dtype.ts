/**
 * Number formats of stored tensors, and float32 to and from them.
 *
 * Names, widths and their order are safetensors'. Conversions to F16 and BF16 round to nearest, ties to even, as
 * PyTorch's casts do; what is too large becomes infinity, and a NaN stays a NaN with the upper bits of its payload, so
 * that every F16 and BF16 pattern comes back from float32 as it was. What numbers lose that way is counted (`Losses`), in
 * branches that ordinary numbers do not take.
 *
 * All of it works on the bits, through integer views. The files are little-endian, as is every machine that Node's
 * prebuilt packages run on; any other is refused when this file is loaded.
 */
import { countNotFinite } from "./finite.ts";

type Format = readonly [
  bits: number,
  Numbers?: new (buffer: ArrayBufferLike, byteOffset: number, length: number) => Iterable<number | bigint>,
];

/**
 * In safetensors' own order of formats (by alignment, then as listed there): bits of one element, and of one that is a
 * plain number the array that reads it.
 */
const formats = {
  BOOL: [8, Uint8Array],
  F4: [4],
  F6_E2M3: [6],
  F6_E3M2: [6],
  U8: [8, Uint8Array],
  I8: [8, Int8Array],
  F8_E5M2: [8],
  F8_E4M3: [8],
  F8_E8M0: [8],
  F8_E4M3FNUZ: [8],
  F8_E5M2FNUZ: [8],
  I16: [16, Int16Array],
  U16: [16, Uint16Array],
  F16: [16, Uint16Array],
  BF16: [16, Uint16Array],
  I32: [32, Int32Array],
  U32: [32, Uint32Array],
  F32: [32, Float32Array],
  C64: [64],
  F64: [64, Float64Array],
  I64: [64, BigInt64Array],
  U64: [64, BigUint64Array],
} as const satisfies Readonly<Record<string, Format>>;

export type StoredDType = keyof typeof formats;

/** The formats that weights are written in. */
export type FloatDType = "F32" | "F16" | "BF16";

export const floatDTypes: readonly FloatDType[] = ["F32", "F16", "BF16"];

/** What transformers' configs call them. */
export const configNames = { F32: "float32", F16: "float16", BF16: "bfloat16" } as const;

/** Formats by safetensors' order: Python's writer puts later ones first. */
export const storedDTypes: readonly string[] = Object.keys(formats);

export function isStoredDType(name: string): name is StoredDType {
  return Object.hasOwn(formats, name);
}

export function isFloatDType(name: string): name is FloatDType {
  return Object.hasOwn(configNames, name);
}

/** Bits of one element. */
export function bitsOf(dtype: StoredDType): number {
  return formats[dtype][0];
}

/** Bytes of one element. */
export function widthOf(dtype: FloatDType): number {
  return formats[dtype][0] / 8;
}

/** Whether `toFloat32` can read it: all but complex numbers and those of a byte or less that are not integers. */
export function isReadable(dtype: StoredDType): boolean {
  return formats[dtype].length > 1;
}

/**
 * The elements as float32. F32 bytes that are aligned are viewed, not copied; F64 and wide integers are rounded.
 * @throws RangeError for a format that `isReadable` denies
 */
export function toFloat32(bytes: Uint8Array, dtype: StoredDType): Float32Array {
  const [bits, Numbers]: Format = formats[dtype];
  if (Numbers === undefined) throw new RangeError(`${dtype} can't be read as float32`);
  const { buffer, byteOffset } = bytes.byteOffset % (bits / 8) === 0 ? bytes : bytes.slice();
  const stored = new Numbers(buffer, byteOffset, (8 * bytes.byteLength) / bits);
  if (stored instanceof Float32Array) return stored;
  if (stored instanceof Uint16Array && dtype !== "U16") return (dtype === "F16" ? fromHalf : fromBrain)(stored);
  return Float32Array.from(stored, Number);
}

/** What numbers lose on their way into a format, counted. */
export class Losses {
  /** NaN or infinite before. */
  notFinite = 0;
  /** Finite before, infinite after. */
  overflowed = 0;
  /** Not 0 before, 0 after. */
  vanished = 0;
}

/** The bits of infinity in float32. */
const INFINITE = 0x7f800000;

/** The bytes of float32 numbers in another format; for F32 a view of the same memory. @param losses are added up there */
export function fromFloat32(data: Float32Array, dtype: FloatDType, losses = new Losses()): Uint8Array {
  return converted(data, dtype, dtype === "F32" ? undefined : new Uint16Array(data.length), losses);
}

/** As `fromFloat32`, in the numbers' own memory, which then holds them no longer. */
export function fromFloat32InPlace(data: Float32Array, dtype: FloatDType, losses = new Losses()): Uint8Array {
  return converted(data, dtype, new Uint16Array(data.buffer, data.byteOffset, data.length), losses);
}

/** @param out may begin where the data does: a number is read before what stands there is written */
function converted(data: Float32Array, dtype: FloatDType, out: Uint16Array | undefined, losses: Losses): Uint8Array {
  if (dtype === "F32" || out === undefined) {
    losses.notFinite += countNotFinite(data);
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  if (dtype === "F16") toHalf(bits, out, losses);
  else toBrain(bits, out, losses);
  return new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
}

/** As if stored in the format and read again, in place. @returns its argument */
export function roundTo(data: Float32Array, dtype: FloatDType): Float32Array {
  if (dtype !== "F32") data.set(toFloat32(fromFloat32(data, dtype), dtype));
  return data;
}

/** From here on a number is infinite in BF16; up to `BRAIN_NONE` it is 0. */
const BRAIN_INFINITE = 0x7f7f8000;
const BRAIN_NONE = 0x8000;

function toBrain(bits: Uint32Array, out: Uint16Array, losses: Losses): void {
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i];
    const high = u >>> 16;
    const size = u & 0x7fffffff;
    if (size > INFINITE) out[i] = (high & 0x7f) === 0 ? high | 0x40 : high;
    else out[i] = (u + 0x7fff + (high & 1)) >>> 16;
    if (size >= BRAIN_INFINITE) losses[size < INFINITE ? "overflowed" : "notFinite"]++;
    else if (size <= BRAIN_NONE && size > 0) losses.vanished++;
  }
}

function fromBrain(stored: Uint16Array): Float32Array {
  const bits = new Uint32Array(stored.length);
  for (let i = 0; i < bits.length; i++) bits[i] = stored[i] << 16;
  return new Float32Array(bits.buffer);
}

/** From here on, 65520, a number is infinite in F16. */
const HALF_INFINITE = 0x477ff000;

function toHalf(bits: Uint32Array, out: Uint16Array, losses: Losses): void {
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i];
    const sign = (u >>> 16) & 0x8000;
    const exponent = (u >>> 23) & 0xff;
    const size = u & 0x7fffffff;
    if ((exponent >= 113 && exponent < 142) || (exponent === 142 && size < HALF_INFINITE)) {
      // Normal in both: 13 bits fall away. A carry runs on into the exponent, as it should. Without a branch on the
      // lost bits, which are as good as random: a processor guesses half of such branches wrong.
      out[i] = sign | ((size - 0x38000000 + 0xfff + ((u >>> 13) & 1)) >>> 13);
    } else if (exponent < 102) {
      out[i] = sign; // below half of the smallest subnormal
      if (size > 0) losses.vanished++;
    } else if (exponent < 113) {
      const fraction = (u & 0x7fffff) | 0x800000;
      const shift = 126 - exponent;
      const kept = fraction >>> shift;
      const lost = fraction & ((1 << shift) - 1);
      const half = 1 << (shift - 1);
      const rounded = kept + (lost > half || (lost === half && (kept & 1) === 1) ? 1 : 0);
      out[i] = sign | rounded;
      if (rounded === 0) losses.vanished++;
    } else {
      out[i] = sign | 0x7c00 | (size > INFINITE ? (u & 0x7fffff) >>> 13 || 0x200 : 0);
      losses[size < INFINITE ? "overflowed" : "notFinite"]++;
    }
  }
}

let halves: Uint32Array | undefined;

function fromHalf(stored: Uint16Array): Float32Array {
  halves ??= halfTable();
  const bits = new Uint32Array(stored.length);
  for (let i = 0; i < bits.length; i++) bits[i] = halves[stored[i]];
  return new Float32Array(bits.buffer);
}

/** The float32 bits of every F16 pattern. */
function halfTable(): Uint32Array {
  const table = new Uint32Array(65536);
  const one = new Float32Array(1);
  const oneBits = new Uint32Array(one.buffer);
  for (let h = 0; h < 65536; h++) {
    const sign = (h & 0x8000) << 16;
    const exponent = (h >>> 10) & 0x1f;
    const fraction = h & 0x3ff;
    if (exponent === 0) {
      one[0] = fraction * 2 ** -24;
      table[h] = sign | oneBits[0];
    } else {
      table[h] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
    }
  }
  return table;
}

if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) throw new Error("bert2bert needs a little-endian machine");
