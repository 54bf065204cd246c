/**
 * Reads safetensors files by position, trusting nothing in them.
 *
 * The format: 8 bytes of header length, a JSON header that gives each tensor's dtype, shape and place, then the data.
 * No length in it is believed before it has been held against the file's own size, so that a file can't make us
 * allocate more than it weighs; the data must be covered exactly, without overlap, hole or rest, as the reference
 * implementation demands. Stricter than that one: a header must start with {, a name given twice and an unknown
 * field of a tensor are refused, and a tensor has fewer than 2^53 elements.
 */
import { type FileHandle, open, stat } from "node:fs/promises";
import { UserError } from "../util/errors.ts";
import { decodeUtf8, isJsonObject, type JsonValue, parseJsonObject, printable } from "../util/json.ts";
import { systemError } from "../util/system.ts";
import { bitsOf, isReadable, isStoredDType, type StoredDType, toFloat32 } from "./dtype.ts";

export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Where its data starts in the file, in bytes. */
  readonly offset: number;
  /** Length of its data. */
  readonly bytes: number;
}

/** The longest header that the format allows, in bytes. */
const longestHeader = 100_000_000;

const getAnew = "the file is damaged or was not written by safetensors: get it anew";

/** An open file whose header has been checked. */
export type SafetensorsFile = Awaited<ReturnType<typeof openSafetensors>>;

/** @param header what `parseHeader` found, `metadata` being the header's `__metadata__` */
function reading(path: string, handle: FileHandle, header: ReturnType<typeof parseHeader>) {
  const { tensors } = header;

  /** @throws UserError if there is no such tensor */
  function info(name: string): StoredTensor {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new UserError(`there is no tensor ${printable(name)}`, path, "check the file");
    return tensor;
  }

  /**
   * The raw bytes of a tensor, or of some of its elements in row-major order.
   * @param start first element; @param count elements, default to the end
   * @param into memory to use where it is large enough; default: own memory each time
   */
  async function read(name: string, start = 0, count?: number, into?: ArrayBuffer): Promise<Uint8Array> {
    const tensor = info(name);
    const width = bitsOf(tensor.dtype) / 8;
    const elements = tensor.bytes / width;
    const wanted = count ?? elements - start;
    if (start < 0 || wanted < 0 || start + wanted > elements) {
      throw new RangeError(`elements ${start} to ${start + wanted} of ${name}, which has ${elements}`);
    }
    const length = wanted * width;
    const reused = into !== undefined && into.byteLength >= length;
    const bytes = reused ? new Uint8Array(into, 0, length) : new Uint8Array(length);
    await readFully(handle, bytes, tensor.offset + start * width, path);
    return bytes;
  }

  /** As `read`, in float32: `into` holds the numbers where they are stored as such. @throws UserError for a dtype that is no plain number */
  async function readF32(name: string, start = 0, count?: number, into?: ArrayBuffer): Promise<Float32Array> {
    const { dtype } = info(name);
    if (!isReadable(dtype)) {
      const what = `tensor ${printable(name)} is stored as ${dtype}`;
      throw new UserError(what, path, "convert it to F32, F16 or BF16 first");
    }
    return toFloat32(await read(name, start, count, into), dtype);
  }

  return { path, ...header, info, read, readF32, close: () => handle.close() };
}

/** Opens a file and checks its header. @throws UserError naming the file and what is wrong with it */
export async function openSafetensors(path: string) {
  let handle: FileHandle;
  try {
    // Looked at before it is opened: opening a pipe would wait for whoever writes to it.
    if (!(await stat(path)).isFile()) throw new UserError("not a regular file", path, "name a safetensors file");
    handle = await open(path, "r");
  } catch (error) {
    throw systemError(error, path);
  }
  try {
    const { size } = await handle.stat();
    if (size < 8) throw new UserError(`only ${size} bytes long: no safetensors file is that short`, path, getAnew);
    const lengthBytes = new Uint8Array(8);
    await readFully(handle, lengthBytes, 0, path);
    const length = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
    if (length > longestHeader) {
      throw new UserError(`its header claims ${length} bytes, more than the format allows`, path, getAnew);
    }
    if (length > size - 8) {
      throw new UserError(`its header claims ${length} bytes, the file has ${size}`, path, getAnew);
    }
    const header = new Uint8Array(length);
    await readFully(handle, header, 8, path);
    return reading(path, handle, parseHeader(header, size, path));
  } catch (error) {
    await handle.close();
    throw systemError(error, path);
  }
}

/**
 * @param header the header's bytes, without its length
 * @param size the whole file's size
 * @throws UserError
 */
export function parseHeader(
  header: Uint8Array,
  size: number,
  where: string,
): { readonly tensors: ReadonlyMap<string, StoredTensor>; readonly metadata: ReadonlyMap<string, string> } {
  if (header[0] !== 0x7b) throw new UserError("its header does not start with {", where, getAnew);
  const parsed = parseJsonObject(decodeUtf8(header, `${where}, header`), `${where}, header`, {
    depth: 3,
    uniqueKeys: true,
    naturalNumbers: true,
  });
  const metadata = new Map<string, string>();
  const found: StoredTensor[] = [];
  for (const [name, value] of Object.entries(parsed)) {
    if (name === "__metadata__") {
      if (value === null) continue;
      if (!isJsonObject(value)) throw new UserError("its __metadata__ is not an object", where, getAnew);
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== "string" || isBroken(key) || isBroken(text)) {
          throw new UserError(`its __metadata__ holds something other than text (${printable(key)})`, where, getAnew);
        }
        metadata.set(key, text);
      }
    } else {
      found.push(parseTensor(name, value, 8 + header.length, where));
    }
  }
  checkCover(found, 8 + header.length, size, where);
  return { tensors: new Map(found.map((tensor) => [tensor.name, tensor])), metadata };
}

function parseTensor(name: string, value: JsonValue, dataStart: number, where: string): StoredTensor {
  const refuse = (what: string): never => {
    throw new UserError(`tensor ${printable(name)} ${what}`, where, getAnew);
  };
  if (isBroken(name)) return refuse("has a name that is not Unicode text");
  if (!isJsonObject(value)) return refuse("is not described by an object");
  const strange = Object.keys(value).find((key) => key !== "dtype" && key !== "shape" && key !== "data_offsets");
  if (strange !== undefined) return refuse(`has an unknown field ${printable(strange)}`);
  const { dtype } = value;
  if (typeof dtype !== "string") return refuse("has no dtype");
  if (!isStoredDType(dtype)) return refuse(`has an unknown dtype ${printable(dtype)}`);
  const shape = naturals(value.shape);
  if (shape === undefined) return refuse("has no shape of whole numbers");
  const offsets = naturals(value.data_offsets);
  if (offsets === undefined || offsets.length !== 2) return refuse("has no pair of data_offsets");
  const [begin, end] = offsets;
  if (end < begin) return refuse(`ends at ${end}, before it starts at ${begin}`);
  let elements = 1;
  for (const extent of shape) {
    elements *= extent;
    if (!Number.isSafeInteger(elements)) return refuse(`has the shape [${printable(shape.join(", "))}]: too large`);
  }
  const bits = elements * bitsOf(dtype);
  if (!Number.isSafeInteger(bits) || bits % 8 !== 0 || bits / 8 !== end - begin) {
    const shapeText = printable(shape.join(", "));
    return refuse(`of ${dtype} [${shapeText}] takes ${bits / 8} bytes, but is given ${end - begin}`);
  }
  return { name, dtype, shape, offset: dataStart + begin, bytes: end - begin };
}

/** The tensors must lie one behind the other, from the header's end to the file's. */
function checkCover(tensors: readonly StoredTensor[], dataStart: number, size: number, where: string): void {
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let position = dataStart;
  for (const tensor of sorted) {
    const name = printable(tensor.name);
    if (tensor.offset < position) throw new UserError(`tensor ${name} overlaps another`, where, getAnew);
    if (tensor.offset > position) throw new UserError(`a hole lies before tensor ${name}`, where, getAnew);
    position += tensor.bytes;
    if (position > size) {
      throw new UserError(`tensor ${name} ends at byte ${position}, the file at ${size}`, where, getAnew);
    }
  }
  if (position !== size) {
    throw new UserError(`${size - position} bytes follow the last tensor`, where, getAnew);
  }
}

function naturals(value: JsonValue | undefined): readonly number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const numbers: number[] = [];
  for (const item of value) {
    if (typeof item !== "number" || !Number.isSafeInteger(item) || item < 0) return undefined;
    numbers.push(item);
  }
  return numbers;
}

/** Whether a text holds half of a surrogate pair, which no UTF-8 can say. */
function isBroken(text: string): boolean {
  return /\p{Cs}/u.test(text);
}

async function readFully(handle: FileHandle, into: Uint8Array, position: number, path: string): Promise<void> {
  for (let done = 0; done < into.byteLength; ) {
    const length = Math.min(into.byteLength - done, 2 ** 30);
    const { bytesRead } = await handle.read(into, done, length, position + done);
    if (bytesRead === 0) {
      throw new UserError("the file became shorter while it was read", path, "let nothing write to it, then try again");
    }
    done += bytesRead;
  }
}
