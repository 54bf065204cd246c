/**
 * Applies a planned growth: reads the source and writes the target folder, one slice of one tensor in memory at a time.
 */

import { join } from "node:path";
import { descentOf, writeModelCard } from "../checkpoint/card.ts";
import { configNames, type FloatDType, widthOf } from "../checkpoint/dtype.ts";
import { countNotFinite } from "../checkpoint/finite.ts";
import {
  configFile,
  copyGenerationConfig,
  copyTokenizerFiles,
  growthFile,
  withLimit,
  writeConfig,
} from "../checkpoint/folder.ts";
import {
  type Moment,
  type OptimizerState,
  openOptimizer,
  optimizerFile,
  optimizerTensors,
} from "../checkpoint/optimizer.ts";
import { indexFile } from "../checkpoint/weights.ts";
import { type TensorSource as OutputTensor, writeWeights } from "../checkpoint/write.ts";
import type { OpenModel } from "../model/load.ts";
import { pipelineOf } from "../model/objectives.ts";
import { elements, parameterCount, shapeOf } from "../model/table.ts";
import { checkHashes, hashFiles } from "../store/checksums.ts";
import { holdsAlready, writeFolderWhole } from "../store/files.ts";
import { fillFile } from "../store/output.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import type { Promised } from "./growth.ts";
import { checkLearned, type GrowthPlan, roundedIn } from "./plan.ts";
import { Reader } from "./reader.ts";
import { constant } from "./recipe.ts";
import { recordOf, recordText } from "./record.ts";
import { SLICE, SliceMemory, slices } from "./slices.ts";

export interface ApplyOptions {
  /** Of the written weights; default: as the source's are stored. */
  readonly dtype?: FloatDType;
  /** Largest shard, in bytes; default 5 GB. */
  readonly maxShardBytes?: number;
  /** The tokenizer's folder; default: the source's. */
  readonly tokenizer?: string;
  /** Take NaN and infinity over where the source has them; default: they are refused. */
  readonly keepNotFinite?: boolean;
  /** Told after each slice how many numbers of all are written. */
  readonly progress?: (done: number, total: number) => void;
}

export interface Applied {
  readonly dtype: FloatDType;
  readonly parameters: number;
  /** Of the weights. */
  readonly bytes: number;
  /** Whether the optimizer's state was grown with them. */
  readonly moments: boolean;
  /** What holds of the function, stored as it is. */
  readonly promise: Promised;
  /** Weights that are 0 in the format they are stored in, and were not before; 0 where nothing was written. */
  readonly vanished: number;
  /** Whether the same growth stood there already, and nothing was written. */
  readonly already: boolean;
}

/** The format the source's weights are stored in; F32 where they differ. */
export function storedDType(source: OpenModel): FloatDType {
  const [first, ...rest] = new Set(source.model.parameters.map(({ name }) => source.weights.dtype(name)));
  return rest.length === 0 ? first : "F32";
}

/**
 * Writes the grown folder.
 * @throws UserError if the target exists, the disk is full, the optimizer's state does not fit, or what is written would
 * not be finite
 */
export async function applyGrowth(
  planned: GrowthPlan,
  source: OpenModel,
  out: string,
  options: ApplyOptions = {},
): Promise<Applied> {
  checkLearned(planned);
  const dtype = options.dtype ?? storedDType(source);
  const kept = options.keepNotFinite === true ? await notFiniteOf(source) : new Map<string, number>();
  const broken = [...kept.values()].reduce((sum, count) => sum + count, 0);
  const reason = `${broken} of the source's weights are NaN or infinite`;
  const promise: Promised = broken === 0 ? planned.promise : { kind: "none", reason };
  const plan = { ...planned, promise };
  await using keep = keeping();
  const optimizer = keep(plan.momentMode === "drop" ? undefined : await openOptimizer(source.folder));
  // Where the growth failed, its source may still be being hashed.
  const end = new AbortController();
  keep({ close: () => end.abort() });
  if (optimizer !== undefined) checkOptimizer(plan, optimizer);
  const parameters = parameterCount(plan.growth.target.parameters);
  const moments = optimizer !== undefined;
  const applied = { dtype, parameters, bytes: parameters * widthOf(dtype), moments, promise, vanished: 0 };
  let record: Promise<string> | undefined;
  const recorded = () => {
    record ??= sourceHashes(source, optimizer, end.signal).then((hashes) =>
      recordText(recordOf(plan, hashes, dtype, moments, broken)),
    );
    return record;
  };
  const origin = async () => `grow, shards of ${options.maxShardBytes}\n${await recorded()}`;
  if (await holdsAlready(out, origin)) return { ...applied, already: true };
  const total = parameters * (moments ? 3 : 1);
  let done = 0;
  const tell = (count: number) => {
    done += count;
    options.progress?.(done, total);
  };
  const fill = async (folder: string) => {
    // The source is hashed by another thread meanwhile. What it finds is thrown where it is awaited, and not before.
    recorded().catch(() => {});
    const vanished = await writeGrown(folder, plan, source, dtype, options.maxShardBytes, kept, tell);
    if (optimizer !== undefined) await writeMoments(folder, plan, optimizer, tell);
    await writeBeside(folder, plan, source, dtype, options.tokenizer);
    await fillFile(join(folder, growthFile), await recorded());
    await writeCard(folder, plan, source, dtype, vanished);
    return vanished;
  };
  return { ...applied, vanished: await writeFolderWhole(out, fill, { origin }), already: false };
}

/** @param kept the source's parameters that may stay NaN or infinite @returns how many weights are 0 once stored, and were not */
async function writeGrown(
  folder: string,
  plan: GrowthPlan,
  source: OpenModel,
  dtype: FloatDType,
  maxShardBytes: number | undefined,
  kept: ReadonlyMap<string, number>,
  tell: (count: number) => void,
): Promise<number> {
  const reader = new Reader((name, start, count, into) => source.weights.readF32(name, start, count, into));
  const memory = new SliceMemory();
  const weights = plan.parameters.map(({ parameter, shape, weight }): OutputTensor => {
    return { name: parameter.name, dtype, shape, data: () => slices(weight, reader, memory, tell) };
  });
  const reading = plan.parameters.filter(({ weight }) => weight.reads.some((name) => kept.has(name)));
  const { vanished } = await writeWeights(folder, weights, {
    maxShardBytes,
    keep: new Set(reading.map(({ parameter }) => parameter.name)),
    wayOut: "use another checkpoint, or take over what the source has: --keep-nonfinite",
  });
  return vanished;
}

/** The config, the tokenizer's files and generation_config.json. @param tokenizer its folder; default: the source's */
async function writeBeside(
  folder: string,
  { growth: { target } }: GrowthPlan,
  source: OpenModel,
  dtype: FloatDType,
  tokenizer = source.folder,
): Promise<void> {
  const { torch_dtype: _, ...config } = target.config;
  await writeConfig(folder, { ...config, dtype: configNames[dtype] });
  const { positions } = target.dimensions;
  // A lower limit than the model's is meant, unless it was all that the source took.
  const longer = positions > source.model.dimensions.positions;
  await copyTokenizerFiles(tokenizer, folder, (config) => withLimit(config, positions, !longer));
  await copyGenerationConfig(source.folder, folder);
}

/** How many numbers are NaN or infinite, by parameter of the source that has some. */
async function notFiniteOf(source: OpenModel): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const parameter of source.model.parameters) {
    const count = elements(parameter);
    for (let start = 0; start < count; start += SLICE) {
      const slice = await source.weights.readF32(parameter.name, start, Math.min(SLICE, count - start));
      const broken = countNotFinite(slice);
      if (broken > 0) found.set(parameter.name, (found.get(parameter.name) ?? 0) + broken);
    }
  }
  return found;
}

/** The files that a growth reads. @param moments whether the optimizer's state is one of them */
export function filesOf({ folder, weights }: OpenModel, moments: boolean): readonly string[] {
  const beside = [configFile, ...(weights.files.length > 1 ? [indexFile] : []), ...(moments ? [optimizerFile] : [])];
  return [...weights.files, ...beside.map((name) => join(folder, name))];
}

/** SHA-256 of them. @throws UserError if the source's own SHA256SUMS says otherwise */
async function sourceHashes(source: OpenModel, optimizer: OptimizerState | undefined, signal: AbortSignal) {
  const hashes = await hashFiles(filesOf(source, optimizer !== undefined), signal);
  // A config may be edited by hand; weights are not.
  const weights = Object.entries(hashes).filter(([name]) => name.endsWith(".safetensors"));
  await checkHashes(source.folder, new Map(weights));
  return hashes;
}

async function writeMoments(
  folder: string,
  plan: GrowthPlan,
  optimizer: OptimizerState,
  tell: (count: number) => void,
): Promise<void> {
  const reader = (which: Moment) =>
    new Reader((name, start, count, into) => optimizer.read(which, name, start, count, into));
  const readers = { m: reader("m"), v: reader("v") };
  const memory = new SliceMemory();
  const states = plan.parameters.map(({ parameter, shape, moments }) => ({
    name: parameter.name,
    shape,
    moment: (which: Moment) => slices(moments?.[which] ?? constant(shape, 0), readers[which], memory, tell),
    steps: async () => (moments?.stepsOf === undefined ? 0 : optimizer.steps(moments.stepsOf)),
  }));
  const wayOut = "use another checkpoint, or --moments drop";
  await writeWeights(folder, optimizerTensors(states), { fileName: optimizerFile, wayOut });
}

function checkOptimizer(plan: GrowthPlan, optimizer: OptimizerState): void {
  for (const parameter of plan.growth.source.parameters) {
    const shape = optimizer.shapes.get(parameter.name);
    if (shape?.join() === shapeOf(parameter).join()) continue;
    throw new UserError(
      shape === undefined
        ? `it holds nothing for ${parameter.name}`
        : `it holds ${parameter.name} as [${shape}], the model as [${shapeOf(parameter)}]`,
      optimizer.path,
      "use the state that belongs to the checkpoint, or --moments drop",
    );
  }
}

async function writeCard(folder: string, plan: GrowthPlan, opened: OpenModel, dtype: FloatDType, vanished: number) {
  const { source, target, options } = plan.growth;
  const { type } = target.architecture;
  const size = (d: typeof source.dimensions) => `${d.layers} layers, ${d.hidden} wide, ${d.heads} heads, FFN ${d.ffn}`;
  const chosen = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  const deeper = target.dimensions.layers > source.dimensions.layers;
  await writeModelCard(folder, {
    title: `A ${type} of ${size(target.dimensions)}, grown from one of ${size(source.dimensions)}`,
    tags: [type],
    pipeline: pipelineOf(target),
    descent: await descentOf(opened.folder),
    text: [
      `Grown by bert2bert with ${plan.method.name} (${plan.method.description}; ${plan.method.paper.title}, ${plan.method.paper.url}) and meant to be pre-trained further.`,
      promiseWords(plan, dtype, opened),
      ...plan.notes,
      "`growth.json` holds all that is needed to repeat the growth bit for bit.",
    ],
    facts: [
      ["method", [plan.method.name, ...chosen].join(", ")],
      ["map", plan.mapKind],
      ...(deeper ? [["depth", plan.depth.name] as const] : []),
      ["parameters", grouped(parameterCount(target.parameters))],
      ["dtype", dtype],
      ...(vanished > 0 ? [["weights too small for it, now 0", grouped(vanished)] as const] : []),
      ["seed", String(plan.growth.seed)],
    ],
  });
}

/** 1,234,567. By hand: `toLocaleString` loads all languages first, which takes longer than writing the folder's small files. */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** What is kept of the source's function, and what the stored format makes of it, in sentences. */
export function promiseWords(
  plan: Pick<GrowthPlan, "promise" | "parameters">,
  dtype: FloatDType,
  source: OpenModel,
): string {
  const { kind, reason } = plan.promise;
  const kept = {
    exact: "It computes what its source computes",
    near: "It computes nearly what its source computes",
    none: "It does not compute what its source computes",
  }[kind];
  if (kind === "none" || dtype === "F32") return `${kept}: ${reason}.`;
  const narrower = source.model.parameters.some(({ name }) => source.weights.dtype(name) !== dtype);
  const alike = narrower ? ` once that is rounded to ${dtype} too` : "";
  const stored = roundedIn(plan, dtype)
    ? `${dtype} rounds its weights, though: \`bert2bert verify\` measures what that costs, \`--dtype F32\` keeps them.`
    : `Its weights are the source's times powers of two, which ${dtype} holds exactly.`;
  return `${kept}${alike}: ${reason}. ${stored}`;
}
