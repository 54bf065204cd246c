/** Writes a new model folder with random weights, one parameter in memory at a time. */
import { writeModelCard } from "../checkpoint/card.ts";
import { configNames, type FloatDType } from "../checkpoint/dtype.ts";
import { writeConfig } from "../checkpoint/folder.ts";
import { type TensorSource, writeWeights } from "../checkpoint/write.ts";
import { holdsAlready, writeFolderWhole } from "../store/files.ts";
import type { Json } from "../util/json.ts";
import { packageVersion } from "../util/paths.ts";
import type { Model } from "./architecture.ts";
import { architectureOf } from "./architectures.ts";
import { initialise } from "./init.ts";
import { elements, type Parameter, parameterCount, shapeOf } from "./table.ts";

/** Numbers drawn at a time. */
const SLICE = 2 ** 20;

export interface CreateOptions {
  /** A whole number from 0; the same one gives the same bytes. */
  readonly seed: number;
  /** Of the weights; default F32. */
  readonly dtype?: FloatDType;
  /** Largest shard in bytes. */
  readonly maxShardBytes?: number;
  /** Told after each parameter how many of all numbers are drawn. */
  readonly progress?: (drawn: number, all: number) => void;
}

/**
 * Writes `folder` as transformers reads it: config with the defaults filled in, weights, a model card.
 * @param where the config's file, for messages
 * A folder that holds it already, whole, is left as it is.
 * @throws UserError if the config is not supported or the folder holds anything else
 */
export async function createModel(config: Json, where: string, folder: string, options: CreateOptions): Promise<Model> {
  const model = architectureOf(config, where).model(config, where);
  const all = parameterCount(model.parameters);
  const { dtype = "F32" } = options;
  let drawn = 0;
  const tensors: TensorSource[] = model.parameters.map((parameter) => ({
    name: parameter.name,
    dtype,
    shape: shapeOf(parameter),
    *data() {
      yield* slices(parameter, options.seed);
      drawn += elements(parameter);
      options.progress?.(drawn, all);
    },
  }));
  const origin = async () => {
    const { seed, maxShardBytes } = options;
    const stored = dtype === "F32" ? {} : { dtype };
    return `init ${JSON.stringify({ version: packageVersion(), config: model.config, seed, maxShardBytes, ...stored })}`;
  };
  if (await holdsAlready(folder, origin)) return model;
  const fill = async (temporary: string) => {
    await writeConfig(temporary, { ...model.config, dtype: configNames[dtype] });
    await writeWeights(temporary, tensors, { maxShardBytes: options.maxShardBytes });
    const { layers, hidden, heads, ffn, vocab } = model.dimensions;
    await writeModelCard(temporary, {
      title: `A ${model.architecture.type} that has not been trained`,
      tags: [model.architecture.type],
      text: ["Random weights, drawn as transformers draws them, to begin pre-training from."],
      facts: Object.entries({
        ...{ seed: options.seed, parameters: all, layers, "hidden size": hidden, heads, FFN: ffn, vocabulary: vocab },
      }).map(([name, value]) => [name, String(value)]),
    });
  };
  await writeFolderWhole(folder, fill, { origin });
  return model;
}

function* slices(parameter: Parameter, seed: number): Iterable<Float32Array> {
  const count = elements(parameter);
  for (let start = 0; start < count; start += SLICE) {
    yield initialise(parameter, seed, start, Math.min(SLICE, count - start));
  }
}
