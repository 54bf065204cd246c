/**
 * The tensors of a run in the engine: put there from a model folder or drawn at random, and read back for a checkpoint.
 */
import { countNotFinite } from "../../checkpoint/finite.ts";
import { openOptimizer, optimizerTensors } from "../../checkpoint/optimizer.ts";
import type { TensorSource } from "../../checkpoint/write.ts";
import type { Engine, Layout } from "../../engine/engine.ts";
import type { Model } from "../../model/architecture.ts";
import { initialise } from "../../model/init.ts";
import { elements, type Parameter, shapeOf, splittable } from "../../model/table.ts";
import { keeping } from "../../util/closing.ts";
import { UserError } from "../../util/errors.ts";
import { accumulatorName, momentNames } from "./step.ts";

/** Parameters by name, wherever they come from. */
export interface ParameterSource {
  readF32(name: string): Promise<Float32Array>;
}

/** Parameters drawn at random as the architecture does. */
export function drawn(model: Model, seed: number): ParameterSource {
  const byName = new Map(model.parameters.map((parameter) => [parameter.name, parameter]));
  return {
    async readF32(name) {
      const parameter = byName.get(name);
      if (parameter === undefined) throw new RangeError(`no parameter ${name}`);
      return initialise(parameter, seed);
    },
  };
}

/**
 * Writes all parameters, and the optimizer's state: from the folder where one is given, else 0.
 * @throws UserError if a weight is not finite, or the folder's moments are not this model's
 */
export async function loadState(
  engine: Engine,
  model: Model,
  parameters: ParameterSource,
  where: string,
  moments: string | undefined,
): Promise<void> {
  engine.layout?.(layoutOf(model));
  await writeParameters(engine, model, parameters, where);
  if (moments === undefined) return resetOptimizer(engine, model);
  await using keep = keeping();
  const state = keep(await openOptimizer(moments));
  if (state === undefined)
    throw new UserError("there is no optimizer.safetensors", moments, "start with fresh moments");
  for (const parameter of model.parameters) {
    const { name } = parameter;
    const shape = shapeOf(parameter);
    const names = momentNames(name);
    const stored = state.shapes.get(name);
    if (stored === undefined || stored.join() !== shape.join()) {
      const what = `the moments of ${name} are ${stored === undefined ? "missing" : `[${stored}], not [${shape}]`}`;
      throw new UserError(what, state.path, "start with fresh moments, or use the file that belongs to the model");
    }
    await engine.write(names.m, shape, await state.read("m", name));
    await engine.write(names.v, shape, await state.read("v", name));
    await engine.write(names.steps, [], Float32Array.of(await state.steps(name)));
  }
}

/** Parameters, their moments and accumulators lie alike. */
export function layoutOf(model: Model): Layout {
  return new Map(
    model.parameters.flatMap((parameter) => {
      const { m, v } = momentNames(parameter.name);
      return [parameter.name, m, v, accumulatorName(parameter.name)].map(
        (name) => [name, splittable(parameter)] as const,
      );
    }),
  );
}

/** Writes all parameters. @throws UserError if a weight is not finite */
export async function writeParameters(engine: Engine, model: Model, parameters: ParameterSource, where: string) {
  for (const parameter of model.parameters) {
    const values = await parameters.readF32(parameter.name);
    checkFinite(values, parameter.name, where);
    await engine.write(parameter.name, shapeOf(parameter), values);
  }
}

/** @throws UserError if a weight is NaN or infinite */
function checkFinite(values: Float32Array, name: string, where: string): void {
  if (countNotFinite(values) === 0) return;
  const what = `${name} holds NaN or infinity`;
  throw new UserError(what, where, "use another checkpoint: this one can't be trained further");
}

/** What a state may be read from. */
export type StateReader = Pick<Engine, "read">;

/** All that a checkpoint holds of a model: parameters, moments and step counts. */
export function stateNames(model: Model): readonly string[] {
  return model.parameters.flatMap(({ name }) => [name, ...Object.values(momentNames(name))]);
}

/** Moments and step counts of all parameters to 0. */
export async function resetOptimizer(engine: Engine, model: Model): Promise<void> {
  for (const parameter of model.parameters) await resetMoments(engine, parameter.name, shapeOf(parameter));
}

/** Those of one state. */
export async function resetMoments(engine: Engine, name: string, shape: readonly number[]): Promise<void> {
  const { m, v, steps } = momentNames(name);
  const count = shape.reduce((product, size) => product * size, 1);
  for (const moment of [m, v]) await engine.write(moment, shape, new Float32Array(count));
  await engine.write(steps, [], new Float32Array(1));
}

/** Accumulators at 0, for the parameters that lack one. */
export async function addAccumulators(engine: Engine, parameters: readonly Parameter[]): Promise<void> {
  const there = new Set(engine.names());
  for (const parameter of parameters) {
    const name = accumulatorName(parameter.name);
    if (!there.has(name)) await engine.write(name, shapeOf(parameter), new Float32Array(elements(parameter)));
  }
}

/** The parameters, to be written as a checkpoint's weights. */
export function weightTensors(engine: StateReader, model: Model): TensorSource[] {
  return model.parameters.map((parameter) => ({
    name: parameter.name,
    dtype: "F32",
    shape: shapeOf(parameter),
    data: () => readReal(engine, parameter.name),
  }));
}

/** The optimizer's state, to be written beside them. */
export function momentTensors(engine: StateReader, model: Model): TensorSource[] {
  return optimizerTensors(
    model.parameters.map((parameter) => {
      const names = momentNames(parameter.name);
      return {
        name: parameter.name,
        shape: shapeOf(parameter),
        moment: (which) => readReal(engine, names[which]),
        steps: async () => (await readReal(engine, names.steps))[0],
      };
    }),
  );
}

/** What was to be saved is of no use to anybody. */
export class NotFinite extends Error {
  override readonly name = "NotFinite";
}

/** A state of real numbers. @throws NotFinite naming it: what can't be trained further must not take a good checkpoint's place */
export async function readReal(engine: StateReader, name: string): Promise<Float32Array> {
  const data = await engine.read(name);
  if (!(data instanceof Float32Array)) throw new TypeError(`${name} is not real`);
  if (countNotFinite(data) > 0) throw new NotFinite(`${name} held NaN or infinity`);
  return data;
}
