/**
 * The weights of a model folder: one `model.safetensors`, or shards named by `model.safetensors.index.json`
 * (transformers' layout). Nothing is read but headers until a tensor is asked for.
 *
 * The index is held against the shards: each tensor stands in exactly the shard that is named for it, and no shard
 * lies outside the folder. Weights in pickle files are refused: reading them can run any program they carry.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { checkInside } from "../store/links.ts";
import { UserError } from "../util/errors.ts";
import { isJsonObject, printable, readJsonObject } from "../util/json.ts";
import { namesIn } from "./folder.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors.ts";

export const weightsFile = "model.safetensors";
export const indexFile = "model.safetensors.index.json";

/** The open weights of a model, whatever files hold them. */
export type Weights = ReturnType<typeof weightsOf>;

/** @throws UserError if two files hold a tensor of one name */
function weightsOf(folder: string, files: readonly SafetensorsFile[]) {
  const fileOf = new Map<string, SafetensorsFile>();
  for (const file of files) {
    for (const name of file.tensors.keys()) {
      const other = fileOf.get(name);
      if (other !== undefined) {
        throw new UserError(`tensor ${printable(name)} also stands in ${other.path}`, file.path, "save it again");
      }
      fileOf.set(name, file);
    }
  }
  /** @throws UserError if there is no such tensor */
  const holding = (name: string): SafetensorsFile => {
    const file = fileOf.get(name);
    if (file !== undefined) return file;
    throw new UserError(`there is no tensor ${printable(name)}`, folder, "check that it is the model you mean");
  };
  return {
    folder,
    /** The files that hold the weights, as full paths. */
    files: files.map((file) => file.path),
    /** The stored tensors' names, as spelled in the files, in the files' order. */
    names: (): readonly string[] => [...fileOf.keys()],
    has: (name: string) => fileOf.has(name),
    /** @throws UserError if there is no such tensor */
    info: (name: string) => holding(name).info(name),
    /** The file that holds a tensor. @throws UserError if there is no such tensor */
    pathOf: (name: string) => holding(name).path,
    /**
     * A tensor's elements in row-major order, in float32.
     * @param start first element; @param count how many, default to the end
     * @param into memory to use where it can be; default: own memory each time
     */
    readF32: async (name: string, start?: number, count?: number, into?: ArrayBuffer) =>
      holding(name).readF32(name, start, count, into),
    async close(): Promise<void> {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

/** Opens a model folder's weights. @throws UserError if they are missing, damaged, in a pickle, or differ from their index */
export async function openWeights(folder: string): Promise<Weights> {
  const present = await namesIn(folder);
  await checkInside(folder, weightsFile);
  if (present.includes(weightsFile)) return weightsOf(folder, [await openSafetensors(join(folder, weightsFile))]);
  if (present.includes(indexFile)) return openShards(folder, present);
  const pickle = present.find((name) => /\.(bin|pt|pth|ckpt|pkl|pickle)$|\.bin\.index\.json$/.test(name));
  if (pickle !== undefined) {
    throw new UserError(
      `its weights are in ${printable(pickle)}, a pickle, which is never opened: it can run any program`,
      folder,
      "where you trust it, open it in transformers and save it with save_pretrained(FOLDER, safe_serialization=True)",
    );
  }
  const foreign = present.find((name) => name.endsWith(".h5") || name.endsWith(".msgpack"));
  if (foreign !== undefined) {
    const wayOut = "open it in transformers and save it with save_pretrained, which writes model.safetensors";
    throw new UserError(`its weights are in ${printable(foreign)}, a format of TensorFlow or Flax`, folder, wayOut);
  }
  const other = present.find((name) => name.endsWith(".safetensors") && !name.startsWith("adapter_"));
  const wayOut = other === undefined ? "name a model folder" : `rename ${printable(other)} if that is the model`;
  throw new UserError(`there is no ${weightsFile} and no ${indexFile}`, folder, wayOut);
}

async function openShards(folder: string, present: readonly string[]): Promise<Weights> {
  const where = join(folder, indexFile);
  await checkInside(folder, indexFile);
  const index = await readJsonObject(where, { depth: 8, uniqueKeys: true });
  const map = index.weight_map;
  if (!isJsonObject(map)) throw new UserError("it has no weight_map", where, "save the model again");
  const shardOf = new Map<string, string>();
  const there = new Set(present);
  for (const [name, shard] of Object.entries(map)) {
    // In a folder below, too: transformers joins the paths. None of its parts leads up or is empty.
    if (typeof shard !== "string" || !/^(?!\.\.?\/)([^/\\\0]+\/(?!\.\.?\/))*[^/\\\0]+\.safetensors$/.test(shard)) {
      const shown = printable(JSON.stringify(shard));
      const what = `tensor ${printable(name)} is said to be in ${shown}, which is no safetensors file of this folder`;
      throw new UserError(what, where, "get the index anew");
    }
    if (
      !there.has(shard) &&
      !(await access(join(folder, shard)).then(
        () => true,
        () => false,
      ))
    ) {
      throw new UserError(`shard ${printable(shard)} is missing`, where, "get the missing file");
    }
    there.add(shard);
    shardOf.set(name, shard);
  }
  if (shardOf.size === 0) throw new UserError("its weight_map is empty", where, "save the model again");
  const opened: SafetensorsFile[] = [];
  try {
    for (const shard of new Set(shardOf.values())) {
      await checkInside(folder, shard);
      const file = await openSafetensors(join(folder, shard));
      opened.push(file);
      for (const name of file.tensors.keys()) {
        const listed = shardOf.get(name);
        if (listed === shard) continue;
        const instead = listed === undefined ? "does not list it" : `says it is in ${printable(listed)}`;
        const what = `tensor ${printable(name)} is in shard ${printable(shard)}, but the index ${instead}`;
        throw new UserError(what, where, "index and shards belong to different models: get them anew");
      }
    }
    const weights = weightsOf(folder, opened);
    for (const [name, shard] of shardOf) {
      if (weights.has(name)) continue;
      const what = `tensor ${printable(name)} is not in shard ${printable(shard)}, where the index says it is`;
      throw new UserError(what, where, "index and shards belong to different models: get them anew");
    }
    return weights;
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}
