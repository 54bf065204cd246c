/** The files of a part written, tokens, documents and lines; and all documents parted into what is learned and held out. */
import { closeSync, openSync, readSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createFile, type OutputFile } from "../../store/output.ts";
import { RandomStream } from "../../util/random.ts";
import type { PartInfo } from "./dataset.ts";
import { Permutation } from "./order.ts";
import { Positions } from "./positions.ts";

/** Bytes read at a time. */
const BUFFER = 2 ** 20;

/** Parts all.* into train.* and validation.* and removes it. @param held how many documents are held out */
export async function split(folder: string, width: 2 | 4, all: PartInfo, held: number): Promise<[PartInfo, PartInfo]> {
  const order = new Permutation(all.documents, new RandomStream(0, "held-out documents"));
  const [path, documents, lines] = FILES.map((name) => join(folder, `all.${name}`));
  const starts = new Positions(documents, all.documents, all.tokens);
  const lineStarts = new Positions(lines, all.lines, all.tokens);
  const tokens = openSync(path, "r");
  const buffer = new Uint8Array(BUFFER);
  let ready = buffer.subarray(0, 0);
  const parts = [await PartWriter.create(folder, "train", width), await PartWriter.create(folder, "validation", width)];
  try {
    for (let document = 0, line = 0; document < all.documents; document++) {
      const part = parts[order.at(document) < held ? 1 : 0];
      const [start, end] = [starts.at(document), starts.at(document + 1)];
      const shift = part.info.tokens - start;
      await part.startDocument();
      for (; lineStarts.at(line) < end; line++) await part.startLine(lineStarts.at(line) + shift);
      for (let left = (end - start) * width; left > 0; ) {
        if (ready.length === 0) ready = buffer.subarray(0, readSync(tokens, buffer));
        const bytes = ready.subarray(0, left);
        ready = ready.subarray(bytes.length);
        left -= bytes.length;
        await part.write(bytes);
      }
    }
  } finally {
    closeSync(tokens);
    for (const file of [starts, lineStarts, ...parts]) await file.close();
  }
  for (const name of FILES) await rm(join(folder, `all.${name}`));
  return [parts[0].info, parts[1].info];
}

const FILES = ["tokens", "documents", "lines"];

export class PartWriter {
  readonly info = { documents: 0, lines: 0, tokens: 0 };
  readonly #files: readonly OutputFile[];
  readonly #width: 2 | 4;
  readonly #place = Buffer.alloc(8);

  private constructor(files: readonly OutputFile[], width: 2 | 4) {
    this.#files = files;
    this.#width = width;
  }

  static async create(folder: string, part: string, width: 2 | 4): Promise<PartWriter> {
    const files: OutputFile[] = [];
    for (const name of FILES) files.push(await createFile(join(folder, `${part}.${name}`)));
    return new PartWriter(files, width);
  }

  startDocument(): Promise<void> {
    this.info.documents++;
    return this.#position(1, this.info.tokens);
  }

  startLine(token = this.info.tokens): Promise<void> {
    this.info.lines++;
    return this.#position(2, token);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.info.tokens += bytes.length / this.#width;
    return this.#files[0].write(bytes);
  }

  #position(file: number, token: number): Promise<void> {
    this.#place.writeUIntLE(token % 2 ** 32, 0, 4);
    this.#place.writeUIntLE(Math.floor(token / 2 ** 32), 4, 4);
    return this.#files[file].write(this.#place);
  }

  bytesOf(ids: readonly number[]): Uint8Array {
    return new Uint8Array((this.#width === 2 ? Uint16Array.from(ids) : Uint32Array.from(ids)).buffer);
  }

  async close(): Promise<void> {
    for (const file of [1, 2]) await this.#position(file, this.info.tokens);
    for (const file of this.#files) await file.close();
  }
}
