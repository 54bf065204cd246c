/**
 * Bad safetensors files and good ones, by what is wrong with them.
 */

/** A file from its header's text and the length of its data. */
export function fileOf(header: string | Uint8Array, data: number, claimed?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + data);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(text.length), true);
  bytes.set(text, 8);
  for (let i = 8 + text.length; i < bytes.length; i++) bytes[i] = i;
  return bytes;
}

function tensor(dtype: unknown, shape: unknown, ...offsets: unknown[]): object {
  return { dtype, shape, data_offsets: offsets };
}

const a = tensor("F32", [2], 0, 8);
const json = JSON.stringify;

export const good: readonly [name: string, file: Uint8Array][] = [
  ["no tensors", fileOf("{}", 0)],
  ["one", fileOf(json({ a }), 8)],
  ["padded with blanks", fileOf(`${json({ a })}     `, 8)],
  ["metadata alone", fileOf(json({ __metadata__: { k: "v" } }), 0)],
  ["two, the later first", fileOf(json({ b: tensor("F16", [2], 8, 12), a }), 12)],
  ["empty tensors", fileOf(json({ e: tensor("F32", [0], 0, 0), a, f: tensor("I64", [3, 0], 8, 8) }), 8)],
  ["a scalar", fileOf(json({ s: tensor("BF16", [], 0, 2) }), 2)],
  ["an empty name, a name with everything", fileOf(json({ "": a, '\\"\n\u2028😀': tensor("U8", [1], 8, 9) }), 9)],
  ["escapes in the header", fileOf('{"\\u0061":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8)],
  ["a name of the prototype", fileOf(`{"__proto__":${json(a)},"constructor":${json(tensor("I8", [1], 8, 9))}}`, 9)],
];

const long = "[".repeat(100_000);

export const bad: readonly [name: string, file: Uint8Array, message: RegExp][] = [
  ["empty", new Uint8Array(0), /only 0 bytes/],
  ["seven bytes", new Uint8Array(7), /only 7 bytes/],
  ["no header", fileOf("", 0), /does not start with/],
  ["header of 2^63", fileOf("{}", 0, 2n ** 63n), /more than the format allows/],
  ["header of 2^64 − 1", fileOf("{}", 0, 2n ** 64n - 1n), /more than the format allows/],
  ["header over 100 MB", fileOf("{}", 0, 100_000_001n), /more than the format allows/],
  ["header of 100 MB in a small file", fileOf("{}", 0, 100_000_000n), /the file has/],
  ["header one byte too long", fileOf("{}", 0, 3n), /the file has/],
  ["header one byte too short", fileOf("{}", 0, 1n), /not valid JSON/],
  ["not UTF-8", fileOf(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), 0), /not UTF-8/],
  ["a byte order mark", fileOf("\ufeff{}", 0), /does not start with/],
  ["an array", fileOf("[]", 0), /does not start with/],
  ["blanks before", fileOf(" {}", 0), /does not start with/],
  ["two values", fileOf("{}{}", 0), /not valid JSON/],
  ["deep", fileOf(`{"a":${long}`, 0), /deeper than/],
  ["a zero byte after", fileOf("{}\0", 0), /not valid JSON/],
  ["names given twice", fileOf(`{"a":${json(a)},"a":${json(a)}}`, 8), /twice/],
  ["fields given twice", fileOf('{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 8), /twice/],
  ["metadata given twice", fileOf('{"__metadata__":{},"__metadata__":{}}', 0), /twice/],
  ["metadata no object", fileOf('{"__metadata__":[]}', 0), /__metadata__ is not an object/],
  ["metadata no text", fileOf('{"__metadata__":{"a":1}}', 0), /other than text/],
  ["no description", fileOf('{"a":null}', 0), /not described/],
  ["an unknown field", fileOf(json({ a: { ...a, scale: 2 } }), 8), /unknown field scale/],
  ["no dtype", fileOf('{"a":{"shape":[2],"data_offsets":[0,8]}}', 8), /has no dtype/],
  ["an unknown dtype", fileOf(json({ a: tensor("F31", [2], 0, 8) }), 8), /unknown dtype F31/],
  ["a dtype of the prototype", fileOf(json({ a: tensor("toString", [2], 0, 8) }), 8), /unknown dtype toString/],
  ["a dtype in small letters", fileOf(json({ a: tensor("f32", [2], 0, 8) }), 8), /unknown dtype f32/],
  ["no shape", fileOf('{"a":{"dtype":"F32","data_offsets":[0,8]}}', 8), /has no shape/],
  ["a negative extent", fileOf(json({ a: tensor("F32", [-2], 0, 8) }), 8), /whole number/],
  ["a fraction", fileOf(json({ a: tensor("F32", [2.5], 0, 8) }), 8), /whole number/],
  [
    "a whole number written as a fraction",
    fileOf('{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}', 8),
    /whole/,
  ],
  ["a number with an exponent", fileOf('{"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}', 8), /whole number/],
  ["a shape of text", fileOf(json({ a: tensor("F32", ["2"], 0, 8) }), 8), /has no shape/],
  ["no offsets", fileOf('{"a":{"dtype":"F32","shape":[2]}}', 8), /has no pair/],
  ["three offsets", fileOf(json({ a: tensor("F32", [2], 0, 8, 8) }), 8), /has no pair/],
  ["offsets the wrong way", fileOf(json({ a: tensor("F32", [2], 8, 0) }), 8), /before it starts/],
  ["offsets of 2^63", fileOf(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,${2n ** 63n}]}}`, 8), /no pair/],
  ["offsets beyond the file", fileOf(json({ a: tensor("F32", [4], 0, 16) }), 8), /ends at byte/],
  ["a dtype that is too wide", fileOf(json({ a: tensor("F64", [2], 0, 8) }), 8), /takes 16 bytes, but is given 8/],
  ["a shape that is too small", fileOf(json({ a: tensor("F32", [1], 0, 8) }), 8), /takes 4 bytes/],
  ["a shape beyond all numbers", fileOf(json({ a: tensor("F32", [2 ** 40, 2 ** 40], 0, 8) }), 8), /too large/],
  ["a shape that overflows to 0", fileOf(json({ a: tensor("U8", [2 ** 32, 2 ** 32], 0, 0) }), 0), /too large/],
  ["half a byte", fileOf(json({ a: tensor("F4", [1], 0, 1) }), 1), /takes 0.5 bytes/],
  ["a hole at the start", fileOf(json({ a: tensor("F32", [2], 4, 12) }), 12), /a hole/],
  ["a hole between", fileOf(json({ a, b: tensor("F32", [1], 12, 16) }), 16), /a hole/],
  ["an overlap", fileOf(json({ a, b: tensor("F32", [2], 4, 12) }), 12), /overlaps/],
  ["the same place", fileOf(json({ a, b: a }), 8), /overlaps/],
  ["bytes after the last", fileOf(json({ a }), 9), /1 bytes follow/],
  ["data without tensors", fileOf("{}", 1), /1 bytes follow/],
  ["data one byte short", fileOf(json({ a }), 7), /ends at byte/],
  ["half a surrogate pair", fileOf(`{"\\ud800":${json(a)}}`, 8), /not Unicode text/],
];
