/**
 * Writes weights as transformers' `save_pretrained` does, one slice of a tensor in memory at a time: a single file, or
 * shards of at most a given size with their index. What is not finite, or would not be once stored, is refused.
 *
 * The bytes are those of Python's safetensors: the header's JSON without spaces, padded with blanks to 8 bytes, wider
 * formats first and names in byte order; shards are filled in the order the tensors are given in (huggingface_hub,
 * `split_state_dict_into_shards_factory`). The caller writes into the temporary folder of `writeFolderWhole`.
 */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { writeFileWhole } from "../store/files.ts";
import { fillFile, type OutputFile } from "../store/output.ts";
import { UserError } from "../util/errors.ts";
import { printable } from "../util/json.ts";
import { type FloatDType, fromFloat32, fromFloat32InPlace, Losses, storedDTypes, widthOf } from "./dtype.ts";
import { indexFile, weightsFile } from "./weights.ts";

export interface TensorSource {
  readonly name: string;
  readonly dtype: FloatDType;
  readonly shape: readonly number[];
  /** The elements in row-major order, whole or slice by slice; called once, when it is the tensor's turn. */
  data(): AsyncIterable<Float32Array> | Iterable<Float32Array> | Promise<Float32Array> | PushedSlices;
}

/** Slices of one who has memory for several and need not wait for each to be written before the next is made. */
export interface PushedSlices {
  push(to: SliceSink): Promise<void>;
}

export interface SliceSink {
  /** At which byte of the file the next slice will begin: memory that lies as it does is written directly (PageMemory). */
  readonly position: number;
  /**
   * Takes the slices one after the other; each is the writer's, who converts it where it is, until what this gives is
   * settled. A write that fails need not be watched for: the file then does not become whole.
   */
  put(slice: Float32Array): Promise<void>;
}

export interface WriteOptions {
  /** Largest size of a shard's data, in bytes; a tensor that is larger gets a shard of its own. Default 5 GB. */
  readonly maxShardBytes?: number;
  /** A single file of this name, whatever its size, instead of the usual names. */
  readonly fileName?: string;
  /** Tensors whose NaN and infinity are written as they are; in all others they are refused. */
  readonly keep?: ReadonlySet<string>;
  /** What is to be done about NaN and infinity, for the message. */
  readonly wayOut?: string;
}

export interface Written {
  /** The names of the files written, the index included. */
  readonly files: readonly string[];
  /** All their tensors' bytes. */
  readonly bytes: number;
  /** Numbers that are 0 as they are stored, and were not before. */
  readonly vanished: number;
}

/** At most so many elements are converted and handed to the system at once. */
const sliceLength = 2 ** 20;

/** @throws UserError if the disk has no room for it, or numbers are not finite, before or once they are stored */
export async function writeWeights(
  folder: string,
  tensors: readonly TensorSource[],
  options: WriteOptions = {},
): Promise<Written> {
  const bytes = sizeOf(tensors);
  await checkRoom(folder, bytes);
  const losses = new Map<TensorSource, Losses>();
  const write = (name: string, part: readonly TensorSource[]) =>
    fillFile(join(folder, name), (file) => fill(file, part, losses, { format: "pt" }), sizeOf(part));
  const shards = options.fileName === undefined ? splitIntoShards(tensors, options.maxShardBytes ?? 5e9) : [tensors];
  if (shards.length === 1) {
    const name = options.fileName ?? weightsFile;
    await write(name, tensors);
    return { files: [name], bytes, vanished: checkLosses(folder, losses, options) };
  }
  const files: string[] = [];
  const shardOf = new Map<string, string>();
  for (const [i, shard] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, "0");
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    await write(name, shard);
    files.push(name);
    for (const tensor of shard) shardOf.set(tensor.name, name);
  }
  const index = {
    metadata: { total_parameters: tensors.reduce((sum, tensor) => sum + elementsOf(tensor), 0), total_size: bytes },
    weight_map: Object.fromEntries([...shardOf].sort(([a], [b]) => compareBytes(a, b))),
  };
  await fillFile(join(folder, indexFile), `${asciiJson(index)}\n`);
  return { files: [...files, indexFile], bytes, vanished: checkLosses(folder, losses, options) };
}

/** @returns how many numbers vanished @throws UserError */
function checkLosses(folder: string, all: ReadonlyMap<TensorSource, Losses>, { keep, wayOut }: WriteOptions): number {
  const refuse = (what: string, count: (losses: Losses) => number, hint: string, but?: ReadonlySet<string>) => {
    const found = [...all].filter(([{ name }, losses]) => count(losses) > 0 && but?.has(name) !== true);
    if (found.length === 0) return;
    const sum = found.reduce((sum, [, losses]) => sum + count(losses), 0);
    const more = found.length > 1 ? `${found.length} tensors, such as ` : "";
    const name = printable(found[0][0].name);
    throw new UserError(`${what} ${sum} ${sum === 1 ? "number" : "numbers"} of ${more}${name}`, folder, hint);
  };
  refuse("NaN or infinity in", ({ notFinite }) => notFinite, wayOut ?? "nothing can be computed with these", keep);
  const dtype = [...all].find(([, { overflowed }]) => overflowed > 0)?.[0].dtype;
  const wider = dtype === "F16" ? "BF16 or F32" : "F32";
  refuse(`too large for ${dtype}:`, ({ overflowed }) => overflowed, `store them as ${wider} (\`--dtype\`)`);
  return [...all.values()].reduce((sum, { vanished }) => sum + vanished, 0);
}

/** "5GB", "200MB", "1.5 GiB" or a number of bytes. @param where the option or key it was given at; @throws UserError */
export function parseSize(text: string, where: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B?)?\s*$/i.exec(text);
  const unit = (match?.[2] ?? "B").toUpperCase();
  const power = "BKMGT".indexOf(unit[0]);
  const bytes = match === null ? 0 : Math.floor(Number(match[1]) * (unit.includes("I") ? 1024 : 1000) ** power);
  if (bytes < 1 || !Number.isSafeInteger(bytes)) {
    throw new UserError(`\`${text}\` is no size`, where, "write it as 5GB, 200MB or 1.5GiB");
  }
  return bytes;
}

function splitIntoShards(tensors: readonly TensorSource[], most: number): TensorSource[][] {
  const shards: TensorSource[][] = [];
  let current: TensorSource[] = [];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (bytes > most) {
      shards.push([tensor]);
      continue;
    }
    if (size + bytes > most) {
      shards.push(current);
      current = [];
      size = 0;
    }
    current.push(tensor);
    size += bytes;
  }
  if (current.length > 0 || shards.length === 0) shards.push(current);
  return shards;
}

/** Writes one safetensors file that is no model, under its final name only when whole. @throws UserError */
export function writeSafetensors(path: string, tensors: readonly TensorSource[]): Promise<void> {
  return writeFileWhole(path, (file) => fill(file, tensors, new Map()));
}

/** @param metadata the header's `__metadata__`: transformers asks for {format: "pt"} */
async function fill(
  file: OutputFile,
  tensors: readonly TensorSource[],
  losses: Map<TensorSource, Losses>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const rank = (tensor: TensorSource) => storedDTypes.indexOf(tensor.dtype);
  const sorted = [...tensors].sort((a, b) => rank(b) - rank(a) || compareBytes(a.name, b.name));
  await file.write(header(sorted, metadata));
  for (const tensor of sorted) losses.set(tensor, await writeTensor(file, tensor));
}

async function writeTensor(file: OutputFile, tensor: TensorSource): Promise<Losses> {
  const losses = new Losses();
  const end = file.position + bytesOf(tensor);
  const put = (slice: Float32Array, convert: typeof fromFloat32): Promise<void> => {
    if (file.position + slice.length * widthOf(tensor.dtype) > end) throw wrongLength(tensor);
    return file.write(convert(slice, tensor.dtype, losses));
  };
  const data = tensor.data();
  if ("push" in data) {
    await data.push({
      get position() {
        return file.position;
      },
      put: (slice) => put(slice, fromFloat32InPlace),
    });
  } else {
    for await (const slice of data instanceof Promise ? [await data] : data) {
      for (let start = 0; start < slice.length; start += sliceLength) {
        await put(slice.subarray(start, start + sliceLength), fromFloat32);
      }
    }
  }
  if (file.position !== end) throw wrongLength(tensor);
  return losses;
}

function wrongLength(tensor: TensorSource): Error {
  return new Error(`tensor ${tensor.name} [${tensor.shape}] was given another number of elements`);
}

function header(sorted: readonly TensorSource[], metadata: Readonly<Record<string, string>> | undefined): Uint8Array {
  const members: string[] = [];
  const seen = new Set<string>();
  if (metadata !== undefined) members.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let position = 0;
  for (const tensor of sorted) {
    if (seen.has(tensor.name) || tensor.name === "__metadata__") throw new Error(`tensor ${tensor.name} comes twice`);
    seen.add(tensor.name);
    const end = position + bytesOf(tensor);
    const info = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [position, end] };
    members.push(`${JSON.stringify(tensor.name)}:${JSON.stringify(info)}`);
    position = end;
  }
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return bytes;
}

function elementsOf(tensor: TensorSource): number {
  return tensor.shape.reduce((product, extent) => product * extent, 1);
}

function bytesOf(tensor: TensorSource): number {
  return elementsOf(tensor) * widthOf(tensor.dtype);
}

function sizeOf(tensors: readonly TensorSource[]): number {
  return tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
}

/** Texts by the order of their UTF-8 bytes, which is that of their code points. */
function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** As Python's json.dumps(indent=2): everything outside ASCII escaped. */
function asciiJson(value: object): string {
  return JSON.stringify(value, null, 2).replace(/[\u007f-\uffff]/g, (character) => {
    return character === "\u007f" ? character : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Said before hours of work, not after; a disk that fills up later is found by the write itself. */
async function checkRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bytes > bavail * bsize) {
    const what = `${(bytes / 1e9).toFixed(2)} GB are to be written, ${((bavail * bsize) / 1e9).toFixed(2)} GB are free`;
    throw new UserError(what, folder, "free some space or choose another place");
  }
}
