/**
 * A zip archive's files, from its central directory: stored or deflated entries, each held against its size and CRC-32.
 * Nothing is written, so no name in it matters. Lineage: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 and 4.4.
 */
import { readFile, stat } from "node:fs/promises";
import { crc32, inflateRawSync } from "node:zlib";
import { byCodePoint } from "../data/text/order.ts";
import { UserError } from "../util/errors.ts";

/** Bytes of an archive, and of a file in it, at most. */
const LARGEST = 2 ** 29;
const [END, ENTRY, LOCAL] = [0x06054b50, 0x02014b50, 0x04034b50];

export interface ZippedFile {
  readonly name: string;
  bytes(): Uint8Array<ArrayBuffer>;
}

/** Its files in the order of their names; folders and hidden files left out. @throws UserError if it is damaged */
export async function zippedFiles(path: string): Promise<readonly ZippedFile[]> {
  const damaged = (what: string) => new UserError(`a damaged zip archive (${what})`, path, "get it anew, or unpack it");
  const { size } = await stat(path);
  if (size > LARGEST) throw new UserError("a zip archive of more than 512 MiB", path, "unpack it");
  const zip = await readFile(path);
  let end = zip.length - 22;
  while (end >= 0 && end > zip.length - 2 ** 16 - 22 && zip.readUInt32LE(end) !== END) end--;
  if (end < 0 || zip.readUInt32LE(end) !== END) throw damaged("it has no directory");
  const files: ZippedFile[] = [];
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; left--) {
    if (at + 46 > zip.length || zip.readUInt32LE(at) !== ENTRY) throw damaged("its directory ends early");
    const [method, crc, packed, whole] = [
      zip.readUInt16LE(at + 10),
      ...[16, 20, 24].map((o) => zip.readUInt32LE(at + o)),
    ];
    const [name, extra, comment] = [28, 30, 32].map((offset) => zip.readUInt16LE(at + offset));
    const local = zip.readUInt32LE(at + 42);
    const called = zip.toString("utf8", at + 46, at + 46 + name);
    at += 46 + name + extra + comment;
    if (/(^|\/)(\.|__MACOSX)|\/$/.test(called)) continue;
    const bytes = () => {
      if (local + 30 > zip.length || zip.readUInt32LE(local) !== LOCAL) throw damaged(`${called} is not there`);
      const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const data = zip.subarray(from, from + packed);
      if (![0, 8].includes(method) || whole > LARGEST) throw damaged(`${called} is packed in a way not known here`);
      let unpacked: Uint8Array;
      try {
        unpacked = method === 0 ? data : inflateRawSync(data, { maxOutputLength: Math.max(1, whole) });
      } catch {
        throw damaged(`${called} can't be unpacked`);
      }
      if (unpacked.length !== whole || crc32(unpacked) !== crc) throw damaged(`${called} is not what was packed`);
      return Uint8Array.from(unpacked);
    };
    files.push({ name: called, bytes });
  }
  return files.sort((a, b) => byCodePoint(a.name, b.name));
}
