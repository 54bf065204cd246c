/** A column of an Arrow file or stream, a record batch at a time, by Apache's own reader. */
import { open } from "node:fs/promises";
import { checkColumn, checkUtf8, type Texts } from "./tables.ts";

export async function* readArrow(path: string, column: string, at: (bytes: number) => void): Texts & AsyncGenerator {
  const [{ CompressionType, compressionRegistry, DataType, RecordBatchReader }, { decompress }] = await Promise.all([
    import("apache-arrow"),
    import("fzstd"),
  ]);
  compressionRegistry.set(CompressionType.ZSTD, { decode: (packed) => decompress(packed).slice() });
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const reader = await RecordBatchReader.from(file);
    await reader.open();
    const { fields } = reader.schema;
    const type = fields.find(({ name }) => name === column)?.type;
    const text = type !== undefined && (DataType.isUtf8(type) || DataType.isLargeUtf8(type));
    const words = type !== undefined && DataType.isDictionary(type) && DataType.isUtf8(type.dictionary);
    checkColumn(
      path,
      column,
      type && (text || words ? "text" : String(type)),
      fields.map(({ name }) => name),
    );
    let done = 0;
    for await (const batch of reader) {
      const values = batch.getChild(column);
      if (values === null) throw new Error("a batch lacks the column");
      for (const { values: bytes, valueOffsets: ends, length } of values.data) {
        if (text && bytes instanceof Uint8Array) checkUtf8(path, bytes.subarray(Number(ends[0]), Number(ends[length])));
      }
      done += batch.data.byteLength;
      at(Math.min(size, done));
      yield Array.from(values, (value: unknown) => (typeof value === "string" ? value : null));
    }
  } finally {
    await file.close();
  }
}
