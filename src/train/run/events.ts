/**
 * TensorBoard's event files: records of TFRecord (length, its CRC, an Event message, its CRC), each with some scalars of a
 * line of metrics. A pure function of the lines, so whatever becomes of a run, its file says what metrics.jsonl says; the
 * clock of an event is the seconds spent training. Formats: tensorflow/core/util/event.proto, framework/summary.proto.
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { MetricsLine } from "./metrics.ts";

export const eventsFile = "events.out.tfevents.0.bert2bert";

/** What a file begins with. */
export function eventsHeader(): Uint8Array {
  return record(at(0).tag(3, WireType.LengthDelimited).string("brain.Event:2").finish());
}

/** A line of metrics as a record. */
export function eventOf(line: MetricsLine): Uint8Array {
  const event = at(line.seconds).tag(2, WireType.Varint).int64(line.step).tag(5, WireType.LengthDelimited).fork();
  for (const [tag, value] of Object.entries(scalarsOf(line))) {
    event.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(tag);
    event.tag(2, WireType.Bit32).float(value).join();
  }
  return record(event.join().finish());
}

/** An event at a time in seconds. */
const at = (seconds: number) => new BinaryWriter().tag(1, WireType.Bit64).double(seconds);

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
