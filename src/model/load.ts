/**
 * Opens a model folder: config read, stored tensors matched with the parameter table whatever their spelling, shapes
 * checked. Nothing but headers (and tied copies, compared with what they copy) is read until a parameter is asked for.
 */
import { join } from "node:path";
import { type FloatDType, isFloatDType } from "../checkpoint/dtype.ts";
import { configFile, readConfig } from "../checkpoint/folder.ts";
import { openWeights, type Weights } from "../checkpoint/weights.ts";
import { UserError } from "../util/errors.ts";
import { printable } from "../util/json.ts";
import type { Model } from "./architecture.ts";
import { architectureOf } from "./architectures.ts";
import { shapeOf } from "./table.ts";

/** What PyTorch's wrappers (DataParallel, compile, FSDP) put before or between the names of what they wrap. */
const WRAPPERS = /(?<=^|\.)(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\./g;

/** A checkpoint's parameters, by their names in the table. */
export type ParameterWeights = ReturnType<typeof parametersIn>;

function parametersIn(weights: Weights, { stored, leftOut, headsLeftOut }: ReturnType<typeof match>) {
  /** What a parameter is called in the files. @throws RangeError for a name that is not in the table */
  const storedName = (name: string): string => {
    const found = stored.get(name);
    if (found === undefined) throw new RangeError(`no parameter ${name}`);
    return found;
  };
  return {
    /** The files that hold them, as full paths. */
    files: weights.files,
    /** Stored tensors that the model does not use: buffers, tied copies, heads that its class does not hold beside the rest. */
    leftOut,
    /** Those of them that are of heads. */
    headsLeftOut,
    storedName,
    /** The format a parameter is stored in. */
    dtype(name: string): FloatDType {
      const { dtype } = weights.info(storedName(name));
      if (!isFloatDType(dtype)) throw new RangeError(`${name} is stored as ${dtype}`);
      return dtype;
    },
    /**
     * A parameter's elements in row-major order, in float32.
     * @param start first element @param count default to the end
     * @param into memory to use where it can be; default: own memory each time
     */
    readF32: async (name: string, start?: number, count?: number, into?: ArrayBuffer) =>
      weights.readF32(storedName(name), start, count, into),
    close: () => weights.close(),
  };
}

export type OpenModel = Awaited<ReturnType<typeof openModel>>;

/**
 * Opens a model folder.
 * @param options.compareCopies read tied copies and compare them with what they copy; default yes
 * @throws UserError if the config is not supported, or tensors are missing, unknown, of another shape, or no floats
 */
export async function openModel(folder: string, options: { compareCopies?: boolean } = {}) {
  const where = join(folder, configFile);
  /** `config.json` as it stands in the folder. */
  const config = await readConfig(folder);
  const architecture = architectureOf(config, where);
  // Before the weights are opened, so that what a config asks for in vain is said first.
  architecture.model(config, where, architecture.outputsStored(config, where, []));
  const weights = await openWeights(folder);
  try {
    const names = weights.names().map(unwrapped);
    const model = architecture.model(config, where, architecture.outputsStored(config, where, names));
    const matched = match(model, weights);
    const { stored, copies } = matched;
    check(model, weights, stored);
    if (options.compareCopies ?? true) {
      for (const [copy, name] of copies) await compare(weights, copy, stored.get(name) ?? name);
    }
    const parameters = parametersIn(weights, matched);
    return { folder, model, config, weights: parameters, close: parameters.close };
  } catch (error) {
    await weights.close();
    throw error;
  }
}

function unwrapped(name: string): string {
  return name.replace(WRAPPERS, "");
}

function match(model: Model, weights: Weights) {
  /** From a parameter's name to the stored tensor that holds it. */
  const stored = new Map<string, string>();
  /** From a tied copy's stored name to the parameter's name. */
  const copies = new Map<string, string>();
  const leftOut: string[] = [];
  const headsLeftOut: string[] = [];
  const spell = model.architecture.spelling(model);
  for (const name of weights.names()) {
    const spelling = spell(unwrapped(name));
    if (spelling.kind === "copy") copies.set(name, spelling.of);
    if (spelling.kind === "head") headsLeftOut.push(name);
    if (spelling.kind === "unknown") {
      throw new UserError(
        `tensor ${printable(name)} is none that a ${model.architecture.type} of ${model.dimensions.layers} layers has`,
        weights.pathOf(name),
        "check that config.json belongs to these weights; drop tensors of heads of your own in transformers",
      );
    }
    if (spelling.kind !== "parameter") {
      leftOut.push(name);
      continue;
    }
    const other = stored.get(spelling.name);
    if (other !== undefined) {
      const both = `${printable(other)} and ${printable(name)} are two spellings of one parameter`;
      throw new UserError(both, weights.pathOf(name), "open the model in transformers and save it again");
    }
    stored.set(spelling.name, name);
  }
  // Where only the tied copy is stored, it is the parameter.
  for (const [copy, name] of copies) {
    if (stored.has(name)) continue;
    stored.set(name, copy);
    copies.delete(copy);
    leftOut.splice(leftOut.indexOf(copy), 1);
  }
  return { stored, copies, leftOut, headsLeftOut };
}

function check(model: Model, weights: Weights, stored: ReadonlyMap<string, string>): void {
  const missing = model.parameters.filter((parameter) => !stored.has(parameter.name));
  if (missing.length > 0) {
    const some = missing.slice(0, 3).map((parameter) => parameter.name);
    const more = missing.length > some.length ? ` and ${missing.length - some.length} more` : "";
    const what = `${some.join(", ")}${more} missing`;
    throw new UserError(what, weights.folder, "check that config.json belongs to these weights, or get them anew");
  }
  for (const parameter of model.parameters) {
    const name = stored.get(parameter.name) ?? parameter.name;
    const { shape, dtype } = weights.info(name);
    const wanted = shapeOf(parameter);
    if (shape.length !== wanted.length || shape.some((extent, i) => extent !== wanted[i])) {
      const what = `tensor ${printable(name)} is [${shape}], by config.json it should be [${wanted}]`;
      throw new UserError(what, weights.pathOf(name), "check that config.json belongs to these weights");
    }
    if (!isFloatDType(dtype)) {
      const what = `tensor ${printable(name)} is stored as ${dtype}`;
      throw new UserError(what, weights.pathOf(name), "save the model in float32, float16 or bfloat16");
    }
  }
}

async function compare(weights: Weights, copy: string, original: string): Promise<void> {
  const shape = weights.info(original).shape;
  const count = shape.reduce((product, extent) => product * extent, 1);
  const slice = 2 ** 20;
  let same = weights.info(copy).shape.join() === shape.join();
  for (let start = 0; same && start < count; start += slice) {
    const length = Math.min(slice, count - start);
    const a = await weights.readF32(copy, start, length);
    const b = await weights.readF32(original, start, length);
    same = a.every((value, i) => value === b[i] || (Number.isNaN(value) && Number.isNaN(b[i])));
  }
  if (same) return;
  const what = `tensor ${printable(copy)} differs from ${printable(original)}, which it should repeat`;
  const wayOut =
    "if its output matrix is its own, say `tie_word_embeddings: false` in config.json; else save it again in transformers";
  throw new UserError(what, weights.pathOf(copy), wayOut);
}
