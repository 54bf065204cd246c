/**
 * A column of a Parquet file, a page at a time: a row group may be the whole file, and its column gigabytes; a page is
 * about a megabyte. hyparquet reads footer, page headers and pages; where each page lies is found here.
 */
import { type FileHandle, open } from "node:fs/promises";
import { UserError } from "../../util/errors.ts";
import { checkColumn, checkUtf8, type Texts } from "./tables.ts";

/** Bytes that a page header, with the statistics in it, is looked for in; then twice as many, up to the largest. */
const HEADER = 2 ** 13;
const LARGEST_HEADER = 2 ** 24;
const LARGEST_PAGE = 2 ** 30;

export async function* readParquet(path: string, column: string, at: (bytes: number) => void): Texts & AsyncGenerator {
  const [
    { parquetMetadataAsync },
    { parquetHeader, readPage },
    { convert, DEFAULT_PARSERS },
    { getSchemaPath },
    codecs,
  ] = await Promise.all([
    import("hyparquet"),
    import("hyparquet/src/column.js"),
    import("hyparquet/src/convert.js"),
    import("hyparquet/src/schema.js"),
    import("hyparquet-compressors"),
  ]);
  await using file = await open(path);
  const { size: byteLength } = await file.stat();
  const metadata = await parquetMetadataAsync({
    byteLength,
    slice: async (start, end = byteLength) => (await bytesAt(file, start, end - start)).buffer,
  });
  const columns = getSchemaPath(metadata.schema, [])[0].children;
  const found = columns.find(({ element }) => element.name === column);
  const flat = found?.children.length === 0 && found.element.repetition_type !== "REPEATED";
  const kind = flat ? (found.element.type === "BYTE_ARRAY" ? "text" : found.element.type) : "a list or a structure";
  checkColumn(
    path,
    column,
    found && kind,
    columns.map(({ element }) => element.name),
  );
  const schemaPath = getSchemaPath(metadata.schema, [column]);
  const stringFromBytes = (bytes: Uint8Array) => {
    checkUtf8(path, bytes);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  };
  for (const group of metadata.row_groups) {
    const chunk = group.columns.find(({ meta_data: data }) => data?.path_in_schema.join(".") === column)?.meta_data;
    if (chunk === undefined) throw new Error("a row group lacks the column");
    const decoder = {
      ...{ ...chunk, pathInSchema: [column], schemaPath, element: schemaPath[1].element },
      ...{ compressors: codecs.compressors, parsers: { ...DEFAULT_PARSERS, stringFromBytes } },
    };
    let offset = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
    let dictionary: ReturnType<typeof convert> | undefined;
    for (let rows = Number(group.num_rows); rows > 0; ) {
      const { header, start } = await headerAt(file, offset, byteLength, parquetHeader);
      const { compressed_page_size: packed, uncompressed_page_size: unpacked } = header;
      if (!(packed >= 0 && start + packed <= byteLength)) throw new Error("a page ends after the file");
      if (!(unpacked >= 0 && unpacked <= LARGEST_PAGE)) throw new Error(`a page of ${unpacked} bytes`);
      const view = new DataView((await bytesAt(file, start, packed)).buffer);
      offset = start + packed;
      if (header.type === "INDEX_PAGE") continue;
      const { data } = readPage({ view, offset: 0 }, header, decoder, dictionary, undefined, 0);
      if (data === undefined) throw new Error("an empty page");
      if (header.type === "DICTIONARY_PAGE") {
        dictionary = convert(data, decoder);
        continue;
      }
      rows -= data.length;
      at(offset);
      yield Array.from(data, (value: unknown) => (typeof value === "string" ? value : null));
    }
  }
}

/** A page's header, and where its page begins. */
async function headerAt<T>(
  file: FileHandle,
  offset: number,
  end: number,
  parse: (reader: { view: DataView<ArrayBuffer>; offset: number }) => T,
): Promise<{ header: T; start: number }> {
  for (let size = HEADER; ; size *= 2) {
    const reader = {
      view: new DataView((await bytesAt(file, offset, Math.min(size, end - offset))).buffer),
      offset: 0,
    };
    try {
      const header = parse(reader);
      if (reader.offset <= reader.view.byteLength) return { header, start: offset + reader.offset };
    } catch (error) {
      if (!(error instanceof RangeError) || offset + size >= end) throw error;
    }
    if (size >= LARGEST_HEADER) throw new Error("a page header without an end");
  }
}

async function bytesAt(file: FileHandle, start: number, size: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(Math.max(0, size));
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new UserError("the file ends early", "Parquet", "get it anew");
    done += bytesRead;
  }
  return bytes;
}
