/** Model folders made of the fixtures' tensors under other names, or less or more of them. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeConfig } from "../../src/checkpoint/folder.ts";
import { type TensorSource, writeWeights } from "../../src/checkpoint/write.ts";
import type { ProbeTensor } from "../../src/probe/probe.ts";
import { writeFolderWhole } from "../../src/store/files.ts";
import { type Json, parseJsonObject } from "../../src/util/json.ts";
import { readTensors } from "../probe/fixtures.ts";
import { fixture, fixtures, temporaryFolder } from "../support.ts";

const root = temporaryFolder();
let count = 0;

/** A model folder of these tensors, in float32. @returns its path */
export async function folderOf(config: Json, tensors: ReadonlyMap<string, ProbeTensor>): Promise<string> {
  const folder = join(root, `model-${count++}`);
  const sources: TensorSource[] = [...tensors].map(([name, { shape, data }]) => ({
    name,
    dtype: "F32",
    shape,
    data: async () => data,
  }));
  await writeFolderWhole(folder, async (temporary) => {
    await writeConfig(temporary, config);
    await writeWeights(temporary, sources);
  });
  return folder;
}

interface Checkpoint {
  readonly config: Json;
  readonly tensors: ReadonlyMap<string, ProbeTensor>;
}

const checkpoints = new Map<string, Checkpoint>();
for (const name of fixtures) {
  const config = parseJsonObject(await readFile(fixture(name, "config.json"), "utf8"), name);
  checkpoints.set(name, { config, tensors: await readTensors(fixture(name, "model.safetensors")) });
}

export function checkpoint(name: string): Checkpoint {
  const found = checkpoints.get(name);
  if (found === undefined) throw new Error(name);
  return found;
}

/** The fixture's tensors, each name changed; undefined drops one. */
export function renamed(name: string, change: (tensor: string) => string | undefined): Map<string, ProbeTensor> {
  const changed = new Map<string, ProbeTensor>();
  for (const [tensor, value] of checkpoint(name).tensors) {
    const to = change(tensor);
    if (to !== undefined) changed.set(to, value);
  }
  return changed;
}

export function tensorOf(name: string, tensor: string): ProbeTensor {
  const found = checkpoint(name).tensors.get(tensor);
  if (found === undefined) throw new Error(tensor);
  return found;
}
