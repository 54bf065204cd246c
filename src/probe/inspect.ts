/**
 * What a model folder holds, from its headers alone: dimensions, heads, parameters by part, formats and sizes, what
 * lies beside the weights, and where it was grown from. No weight is read, so it takes no longer for a large model.
 */
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { growthFile, presentOf, tokenizerFiles } from "../checkpoint/folder.ts";
import { openOptimizer, optimizerFile, trainerFile } from "../checkpoint/optimizer.ts";
import { namedClass } from "../model/config.ts";
import { openModel } from "../model/load.ts";
import { remarks } from "../model/remarks.ts";
import { elements, type Parameter } from "../model/table.ts";
import { keeping } from "../util/closing.ts";
import { isJsonObject, type Json, type JsonValue, readJsonObject } from "../util/json.ts";

/** Plain data: it prints as JSON as it is. */
export type Inspection = Awaited<ReturnType<typeof inspect>>;
export type GrowthSummary = NonNullable<Inspection["growth"]>;

/** @throws UserError if the folder is no model, or its tensors do not fit its config */
export async function inspect(folder: string) {
  await using keep = keeping();
  const opened = keep(await openModel(folder, { compareCopies: false }));
  const { model, weights } = opened;
  const parts = new Map<string, { tensors: number; parameters: number; bytes: number }>();
  const dtypes: Record<string, number> = {};
  let parameters = 0;
  for (const parameter of model.parameters) {
    const count = elements(parameter);
    const dtype = weights.dtype(parameter.name);
    const part = parts.get(partOf(parameter)) ?? { tensors: 0, parameters: 0, bytes: 0 };
    part.tensors++;
    part.parameters += count;
    part.bytes += count * (dtype === "F32" ? 4 : 2);
    parts.set(partOf(parameter), part);
    dtypes[dtype] = (dtypes[dtype] ?? 0) + count;
    parameters += count;
  }
  const { outputs } = model;
  const files = weights.files.map(async (path) => ({ name: basename(path), bytes: (await stat(path)).size }));
  return {
    folder,
    /** config.json's model_type and the class of transformers that opens it. */
    architecture: model.architecture.type,
    class: namedClass(model.config) ?? null,
    heads: { lm: outputs.lm !== "none", pooler: outputs.pooler, nsp: outputs.nsp },
    dimensions: { ...model.dimensions },
    /** Numbers in all parameters. */
    parameters,
    /** By part of the network, in the order of the table; they add up to `parameters`. */
    parts: [...parts].map(([part, counts]) => ({ part, ...counts })),
    /** Parameters by the format they are stored in. */
    dtypes,
    files: await Promise.all(files),
    /** Stored tensors that the model does not use: buffers, tied copies, other heads. */
    leftOut: weights.leftOut,
    /** Sentences on what is read otherwise than the folder's owner may think, and on what is missing. */
    notes: [...(await remarks(opened)), model.architecture.remark?.(model) ?? []].flat(),
    tokenizer: await presentOf(folder, tokenizerFiles),
    growth: summarise(await readIfThere(folder, growthFile)),
    /** Whose moments lie beside the weights. */
    optimizer: await inspectOptimizer(folder),
    /** `trainer.json`, if it is a checkpoint of a run. */
    trainer: (await readIfThere(folder, trainerFile)) ?? null,
  };
}

function partOf(parameter: Parameter): string {
  if (parameter.group === "embedding") return "embeddings";
  if (parameter.group === "head") return "heads and final norm";
  if (parameter.part === "branch-input") return "blocks: weights that read the stream";
  if (parameter.part === "branch-output") return "blocks: weights that write the stream";
  return "blocks: norms";
}

async function inspectOptimizer(folder: string) {
  const state = await openOptimizer(folder);
  if (state === undefined) return null;
  await state.close();
  return { parameters: state.shapes.size, bytes: (await stat(join(folder, optimizerFile))).size };
}

async function readIfThere(folder: string, name: string): Promise<Json | undefined> {
  return (await presentOf(folder, [name])).length === 0 ? undefined : readJsonObject(join(folder, name));
}

/** The record's words for a person. What it lacks is left open: only repeating a growth needs all of it. */
function summarise(record: Json | undefined) {
  if (record === undefined) return null;
  const inner = (key: string, name: string) => (isJsonObject(record[key]) ? record[key][name] : undefined);
  const text = (value: JsonValue | undefined) => (typeof value === "string" ? value : null);
  const from = inner("source", "dimensions");
  const numbers = isJsonObject(from) ? Object.entries(from) : [];
  return {
    method: text(inner("method", "name")),
    depth: text(inner("depth", "rule")),
    map: text(record.map),
    seed: typeof record.seed === "number" ? record.seed : null,
    moments: text(record.moments),
    /** The source's dimensions. */
    from: Object.fromEntries(numbers.flatMap(([name, value]) => (typeof value === "number" ? [[name, value]] : []))),
  };
}
