/** The files of a part written, tokens, documents and lines; and all documents parted into what is learned and held out. */
import { closeSync, openSync, readSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createFile, type OutputFile } from "../../store/output.ts";
import { RandomStream } from "../../util/random.ts";
import type { PartInfo } from "./dataset.ts";
import { permutation } from "./order.ts";
import { Positions } from "./positions.ts";

/** Bytes read at a time. */
const BUFFER = 2 ** 20;

/** Parts all.* into train.* and validation.* and removes it. @param held how many documents are held out */
export async function split(folder: string, width: 2 | 4, all: PartInfo, held: number): Promise<[PartInfo, PartInfo]> {
  const order = permutation(all.documents, new RandomStream(0, "held-out documents"));
  const [path, documents, lines] = FILES.map((name) => join(folder, `all.${name}`));
  const starts = new Positions(documents, all.documents, all.tokens);
  const lineStarts = new Positions(lines, all.lines, all.tokens);
  const tokens = openSync(path, "r");
  const buffer = new Uint8Array(BUFFER);
  let ready = buffer.subarray(0, 0);
  const parts = [await createPart(folder, "train", width), await createPart(folder, "validation", width)];
  try {
    for (let document = 0, line = 0; document < all.documents; document++) {
      const part = parts[order(document) < held ? 1 : 0];
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

export type PartWriter = Awaited<ReturnType<typeof createPart>>;

export async function createPart(folder: string, part: string, width: 2 | 4) {
  const info = { documents: 0, lines: 0, tokens: 0 };
  const files: OutputFile[] = [];
  for (const name of FILES) files.push(await createFile(join(folder, `${part}.${name}`)));
  const place = Buffer.alloc(8);
  const position = (file: number, token: number): Promise<void> => {
    place.writeUIntLE(token % 2 ** 32, 0, 4);
    place.writeUIntLE(Math.floor(token / 2 ** 32), 4, 4);
    return files[file].write(place);
  };
  return {
    info,
    startDocument(): Promise<void> {
      info.documents++;
      return position(1, info.tokens);
    },
    startLine(token = info.tokens): Promise<void> {
      info.lines++;
      return position(2, token);
    },
    write(bytes: Uint8Array): Promise<void> {
      info.tokens += bytes.length / width;
      return files[0].write(bytes);
    },
    bytesOf: (ids: readonly number[]) =>
      new Uint8Array((width === 2 ? Uint16Array.from(ids) : Uint32Array.from(ids)).buffer),
    async close(): Promise<void> {
      for (const file of [1, 2]) await position(file, info.tokens);
      for (const file of files) await file.close();
    },
  };
}
