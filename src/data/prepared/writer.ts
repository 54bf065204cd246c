/** The files of a part written, tokens, documents and lines; and all documents parted into what is learned and held out. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { RandomStream } from "../../util/random.ts";
import type { PartInfo } from "./dataset.ts";
import { FlatReader, FlatWriter } from "./flat.ts";
import { Permutation } from "./order.ts";

/** Parts all.* into train.* and validation.* and removes it. @param held how many documents are held out */
export async function split(
  folder: string,
  width: 2 | 4,
  documents: number,
  held: number,
): Promise<[PartInfo, PartInfo]> {
  const order = new Permutation(documents, new RandomStream(0, "held-out documents"));
  const [tokens, starts, lines] = FILES.map((name) => new FlatReader(join(folder, `all.${name}`)));
  const parts = [await PartWriter.create(folder, "train", width), await PartWriter.create(folder, "validation", width)];
  try {
    let start = starts.position() ?? 0;
    let line = lines.position() ?? 0;
    for (let document = 0; document < documents; document++) {
      const part = parts[held > 0 && order.at(document) < held ? 1 : 0];
      const end = starts.position() ?? start;
      const shift = part.info.tokens - start;
      await part.startDocument();
      for (; line < end; line = lines.position() ?? end) await part.startLine(line + shift);
      for (let left = (end - start) * width; left > 0; ) {
        const bytes = tokens.take(left);
        await part.write(bytes);
        left -= bytes.length;
      }
      start = end;
    }
  } finally {
    for (const file of [tokens, starts, lines]) file.close();
    for (const part of parts) await part.close();
  }
  for (const name of FILES) await rm(join(folder, `all.${name}`));
  return [parts[0].info, parts[1].info];
}

const FILES = ["tokens", "documents", "lines"];

export class PartWriter {
  readonly info = { documents: 0, lines: 0, tokens: 0 };
  readonly #files: readonly FlatWriter[];
  readonly #width: 2 | 4;

  private constructor(files: readonly FlatWriter[], width: 2 | 4) {
    this.#files = files;
    this.#width = width;
  }

  static async create(folder: string, part: string, width: 2 | 4): Promise<PartWriter> {
    const files: FlatWriter[] = [];
    for (const name of FILES) files.push(await FlatWriter.create(join(folder, `${part}.${name}`)));
    return new PartWriter(files, width);
  }

  startDocument(): Promise<void> | undefined {
    this.info.documents++;
    return this.#files[1].position(this.info.tokens);
  }

  startLine(token = this.info.tokens): Promise<void> | undefined {
    this.info.lines++;
    return this.#files[2].position(token);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.info.tokens += bytes.length / this.#width;
    return this.#files[0].bytes(bytes);
  }

  bytesOf(ids: readonly number[]): Uint8Array {
    return new Uint8Array((this.#width === 2 ? Uint16Array.from(ids) : Uint32Array.from(ids)).buffer);
  }

  async close(): Promise<void> {
    for (const file of this.#files.slice(1)) await file.position(this.info.tokens);
    for (const file of this.#files) await file.close();
  }
}
