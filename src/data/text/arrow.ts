/**
 * A column of an Arrow file or stream, a record batch at a time, by Apache's own reader. A file is a stream with eight
 * bytes before it and a list of places after it; it is read as the stream, so that no place in it has to be believed.
 */
import { createReadStream } from "node:fs";
import { checkColumn, checkUtf8, type Texts } from "./tables.ts";

const CHUNK = 2 ** 18;

/** Apache's library, taught to unpack zstd. */
export async function withZstd() {
  const [{ CompressionType, compressionRegistry, DataType, RecordBatchReader, tableFromIPC }, { decompress }] =
    await Promise.all([import("apache-arrow"), import("fzstd")]);
  // A copy of its own: numbers of eight bytes must lie at a multiple of eight.
  compressionRegistry.set(CompressionType.ZSTD, { decode: (packed) => decompress(packed).slice() });
  return { DataType, RecordBatchReader, tableFromIPC };
}

/** @param start where the stream begins */
export async function* readArrow(
  path: string,
  column: string,
  at: (bytes: number) => void,
  start: number,
): Texts & AsyncGenerator {
  const { DataType, RecordBatchReader } = await withZstd();
  const content = async function* (): AsyncGenerator<Uint8Array> {
    let done = start;
    for await (const chunk of createReadStream(path, { start, highWaterMark: CHUNK })) {
      if (!(chunk instanceof Uint8Array)) continue;
      done += chunk.length;
      at(done);
      yield chunk;
    }
  };
  const reader = await RecordBatchReader.from(content());
  await reader.open();
  const { fields } = reader.schema;
  const type = fields.find(({ name }) => name === column)?.type;
  const text = type !== undefined && (DataType.isUtf8(type) || DataType.isLargeUtf8(type));
  const words = type !== undefined && DataType.isDictionary(type) && DataType.isUtf8(type.dictionary);
  const names = fields.map(({ name }) => name);
  checkColumn(path, column, type && (text || words ? "text" : String(type)), names);
  for await (const batch of reader) {
    const values = batch.getChild(column);
    if (values === null) throw new Error("a batch lacks the column");
    for (const { values: bytes, valueOffsets: ends, length } of values.data) {
      if (text && bytes instanceof Uint8Array) checkUtf8(path, bytes.subarray(Number(ends[0]), Number(ends[length])));
    }
    yield Array.from(values, (value: unknown) => (typeof value === "string" ? value : null));
  }
}
