/**
 * TensorBoard's event files: records of TFRecord (length, its CRC, an Event message, its CRC), each with some scalars of a
 * line of metrics. A pure function of the lines, so whatever becomes of a run, its file says what metrics.jsonl says; the
 * clock of an event is the seconds spent training. Formats: tensorflow/core/util/event.proto, framework/summary.proto.
 */
import type { MetricsLine } from "./metrics.ts";

export const eventsFile = "events.out.tfevents.0.bert2bert";

const utf8 = new TextEncoder();

/** What a file begins with. */
export function eventsHeader(): Uint8Array {
  return record(message(double(1, 0), bytes(3, utf8.encode("brain.Event:2"))));
}

/** A line of metrics as a record. */
export function eventOf(line: MetricsLine): Uint8Array {
  const values = Object.entries(scalarsOf(line)).map(([tag, value]) =>
    bytes(1, message(bytes(1, utf8.encode(tag)), float(2, value))),
  );
  return record(message(double(1, line.seconds), varint(2, line.step), bytes(5, message(...values))));
}

/** A line's values by TensorBoard's tags, which are columns of the CSV too; what is no number is left out. */
export function scalarsOf(line: MetricsLine): Readonly<Record<string, number>> {
  const found: Record<string, number> = {};
  const add = (group: string, values: object) => {
    for (const [name, value] of Object.entries(values))
      if (typeof value === "number") found[`${group}/${name}`] = value;
  };
  if ("evaluation" in line) {
    const { next_sentence: pairs = {}, tokens: _, ...values } = line.evaluation;
    add("validation", values);
    add("validation/next_sentence", pairs);
    add("symmetry", Object.fromEntries((line.symmetry ?? []).map((value, i) => [`layer_${i}`, value])));
  } else {
    const { loss, rate, gradient_norm, tokens_per_second, layers, trained, joules, terms = {} } = line;
    add("train", { loss, rate, gradient_norm, tokens_per_second, layers, trained, joules, ...terms });
  }
  add("run", { tokens: line.tokens, flops: line.flops.exact });
  return found;
}

function message(...fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

function varint(field: number, value: number): Uint8Array {
  return Buffer.from([...digits(field * 8), ...digits(value)]);
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from([...digits(field * 8 + 2), ...digits(value.length)]), value]);
}

function double(field: number, value: number): Uint8Array {
  const data = Buffer.alloc(9);
  data[0] = field * 8 + 1;
  data.writeDoubleLE(value, 1);
  return data;
}

function float(field: number, value: number): Uint8Array {
  const data = Buffer.alloc(5);
  data[0] = field * 8 + 5;
  data.writeFloatLE(value, 1);
  return data;
}

/** Base 128, least significant group first. */
function digits(value: number): readonly number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...digits(Math.floor(value / 128))];
}

function record(data: Uint8Array): Uint8Array {
  const whole = Buffer.alloc(data.length + 16);
  whole.writeBigUInt64LE(BigInt(data.length));
  whole.writeUInt32LE(masked(whole.subarray(0, 8)), 8);
  whole.set(data, 12);
  whole.writeUInt32LE(masked(data), data.length + 12);
  return whole;
}

/** CRC-32C (Castagnoli), turned and shifted as TFRecord wants it. */
function masked(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
