/**
 * Protocol Buffers wire format: field number and wire type as a varint key, then a varint, four or eight bytes, or a length
 * and its bytes.
 */
export type Bytes = Uint8Array<ArrayBuffer>;
const utf8 = new TextEncoder();

/** Two's complement base-128, least significant group first; negative numbers take ten bytes, as int64 does. */
function varint(value: number): Bytes {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

export function join(parts: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const integer = (field: number, value: number): Bytes => join([varint(field << 3), varint(value)]);

export function float(field: number, value: number): Bytes {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return join([varint((field << 3) | 5), bytes]);
}

export function double(field: number, value: number): Bytes {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return join([varint((field << 3) | 1), bytes]);
}

export const block = (field: number, bytes: Bytes): Bytes =>
  join([varint((field << 3) | 2), varint(bytes.length), bytes]);
export const text = (field: number, value: string): Bytes => block(field, utf8.encode(value));
export const message = (field: number, ...parts: Bytes[]): Bytes => block(field, join(parts));
