/** How text may be packed: each known by its first bytes, unpacked as it streams. Libraries are loaded when one is met. */
import { createRequire } from "node:module";
import { pipeline, Readable } from "node:stream";
import { ReadableStream } from "node:stream/web";
import { createGunzip } from "node:zlib";

export interface Packing {
  readonly name: string;
  /** What files of it are called. */
  readonly suffix: RegExp;
  readonly first: readonly number[];
  /** The command that tests a file. */
  readonly test: string;
  /** @throws an Error of the library's for what is broken */
  unpack(packed: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

const CHUNK = 2 ** 18;

export const packings: readonly Packing[] = [
  { name: "gzip", suffix: /\.gz$/i, first: [0x1f, 0x8b], test: "gzip -t", unpack: gunzipped },
  { name: "zstd", suffix: /\.zst$/i, first: [0x28, 0xb5, 0x2f, 0xfd], test: "zstd -t", unpack: unzstd },
  { name: "xz", suffix: /\.xz$/i, first: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], test: "xz -t", unpack: unxz },
];

/** A file's name without what says how it is packed. */
export function unpackedName(path: string): string {
  return packings.reduce((name, { suffix }) => name.replace(suffix, ""), path);
}

async function* gunzipped(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // pipeline hands a failure of the file on to the stream that is read; there is nothing left to do in its callback.
  const source = Readable.from(packed, { objectMode: false });
  const content = pipeline(source, createGunzip({ chunkSize: CHUNK }), () => {});
  for await (const chunk of content) if (chunk instanceof Uint8Array) yield chunk;
}

async function* unzstd(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { Decompress } = await import("fzstd");
  let ready: Uint8Array[] = [];
  // What it hands over is a part of its own memory, which it writes over.
  const stream = new Decompress((chunk) => ready.push(chunk.slice()));
  const taken = function* () {
    yield* ready;
    ready = [];
  };
  for await (const chunk of packed) {
    stream.push(chunk);
    yield* taken();
  }
  stream.push(new Uint8Array(0), true);
  yield* taken();
}

async function* unxz(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // A CommonJS bundle, whose names an import does not see.
  const { XzReadableStream }: typeof import("xz-decompress") = createRequire(import.meta.url)("xz-decompress");
  yield* new XzReadableStream(ReadableStream.from(packed));
}
