/**
 * AdamW's state beside a checkpoint: `optimizer.safetensors` holds, for each parameter in its modern spelling,
 * `m/NAME` and `v/NAME` (the moments, F32, the parameter's shape) and `steps/NAME` (F32, a scalar: how many updates
 * the parameter has had, since parts of a model may train at different times).
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { checkInside } from "../store/links.ts";
import { UserError } from "../util/errors.ts";
import { printable } from "../util/json.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors.ts";
import type { TensorSource } from "./write.ts";

export const optimizerFile = "optimizer.safetensors";
export const trainerFile = "trainer.json";

export type Moment = "m" | "v";

/** One parameter's state, to be written. */
export interface ParameterState {
  readonly name: string;
  readonly shape: readonly number[];
  moment(which: Moment): ReturnType<TensorSource["data"]>;
  /** Updates so far. */
  steps(): Promise<number>;
}

/** The open state of a checkpoint's optimizer. */
export type OptimizerState = ReturnType<typeof checked>;

/** @throws UserError unless each parameter has both moments of one shape and its steps, and nothing else is there */
function checked(file: SafetensorsFile) {
  const refusal = (what: string) =>
    new UserError(what, file.path, "use the file that belongs to the checkpoint, or remove it to start afresh");
  /** Each parameter's shape, by name. */
  const shapes = new Map<string, readonly number[]>();
  for (const { name, dtype, shape } of file.tensors.values()) {
    const [, part, parameter] = /^(m|v|steps)\/(.+)$/s.exec(name) ?? [];
    if (part === undefined) throw refusal(`tensor ${printable(name)} is no moment and no step count`);
    if (dtype !== "F32") throw refusal(`tensor ${printable(name)} is ${dtype}, not F32`);
    const twin = part === "m" ? undefined : file.tensors.get(`m/${parameter}`);
    if (part === "m") {
      if (!file.tensors.has(`v/${parameter}`) || !file.tensors.has(`steps/${parameter}`)) {
        throw refusal(`parameter ${printable(parameter)} has m/ but not both v/ and steps/`);
      }
      shapes.set(parameter, shape);
    } else if (twin === undefined) {
      throw refusal(`parameter ${printable(parameter)} has ${part}/ but no m/`);
    } else if (part === "v" ? shape.join() !== twin.shape.join() : shape.length > 0) {
      throw refusal(`tensor ${printable(name)} has the shape [${shape.join(", ")}]`);
    }
  }
  return {
    path: file.path,
    shapes,
    /** A moment's elements; as Weights.readF32. */
    read: (which: Moment, parameter: string, start?: number, count?: number, into?: ArrayBuffer) =>
      file.readF32(`${which}/${parameter}`, start, count, into),
    steps: async (parameter: string) => (await file.readF32(`steps/${parameter}`))[0],
    close: () => file.close(),
  };
}

/** The optimizer's state beside a checkpoint; undefined where there is none. @throws UserError if it is damaged */
export async function openOptimizer(folder: string): Promise<OptimizerState | undefined> {
  const path = join(folder, optimizerFile);
  const present = await stat(path).then(
    () => true,
    () => false,
  );
  if (!present) return undefined;
  await checkInside(folder, optimizerFile);
  const file = await openSafetensors(path);
  try {
    return checked(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What `writeWeights` needs to write the state: with `fileName: optimizerFile`. */
export function optimizerTensors(parameters: Iterable<ParameterState>): TensorSource[] {
  const sources: TensorSource[] = [];
  for (const parameter of parameters) {
    const { name, shape } = parameter;
    sources.push({ name: `m/${name}`, dtype: "F32", shape, data: () => parameter.moment("m") });
    sources.push({ name: `v/${name}`, dtype: "F32", shape, data: () => parameter.moment("v") });
    const steps = async () => Float32Array.of(await parameter.steps());
    sources.push({ name: `steps/${name}`, dtype: "F32", shape: [], data: steps });
  }
  return sources;
}
