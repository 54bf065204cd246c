/**
 * Learning a growth: LiGO's maps fitted on prepared data (growth/methods/ligo.ts says what they are).
 *
 * The target's parameters are values of the program, made from the source's weights and the maps; so the maps train by
 * the same losses, differentiation, optimizer and engines as a model does. What was learned is the plan's weights, held in
 * memory. A function of plan, data, settings, engine and threads; its cost is in growth.json.
 */
import { dataSize, trainingBatch } from "../data/batch/batches.ts";
import { type Dataset, openDataset } from "../data/prepared/dataset.ts";
import type { Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/engines.ts";
import { type Growth, sourceParameter } from "../growth/growth.ts";
import type { GrowthPlan } from "../growth/plan.ts";
import type { Recipe } from "../growth/recipe.ts";
import { grownFactors, indexAlong, sharesAlong } from "../growth/width.ts";
import { paperFlops } from "../model/flops.ts";
import type { OpenModel } from "../model/load.ts";
import type { Objective } from "../model/objectives.ts";
import { buildLoss, objectives, supports } from "../model/objectives.ts";
import { AXES, type Dim, elements, type Parameter, shapeOf } from "../model/table.ts";
import { ProgramBuilder } from "../program/builder.ts";
import { differentiate } from "../program/differentiate.ts";
import { flops } from "../program/flops.ts";
import type { Program, Shape, Value } from "../program/graph.ts";
import { concat, constant, matmul, reshape, slice } from "../program/ops/index.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { RandomStream } from "../util/random.ts";
import { checkFit, fingerprint, stepCommon, tokenizerOf } from "./run/setup.ts";
import { batchInputs } from "./step/inputs.ts";
import { resetMoments } from "./step/state.ts";
import { addUpdates, type OptimizerRule } from "./step/step.ts";

export interface LearnOptions {
  readonly engine: string;
  readonly threads: number;
  readonly progress?: (step: number, steps: number, loss: number) => void;
}

/** A map to be learned: its state, starting values and shape. */
interface Coefficient {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly start: Float32Array;
  readonly decays: false;
}

/** The plan with its weights learned. @throws UserError if the data does not serve the model */
export async function learnGrowth(
  plan: GrowthPlan,
  source: OpenModel,
  data: string,
  options: LearnOptions,
): Promise<GrowthPlan> {
  await using keep = keeping();
  const dataset = keep(await openDataset(data));
  const { model, folder } = source;
  const objective = objectives.find((known) => supports(model, known));
  if (objective === undefined) {
    throw new UserError("the model has no language-model head to learn with", folder, "grow it by another method");
  }
  const fitting = await checkFit(model, folder, dataset, objective, await tokenizerOf(folder, dataset));
  const engine = keep(await openEngine({ kind: options.engine, threads: options.threads, precision: "auto" }));
  return await learn(plan, source, fitting, objective, engine, options);
}

const rule: OptimizerRule = { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, clip: 1 };

async function learn(
  plan: GrowthPlan,
  source: OpenModel,
  dataset: Dataset,
  objective: Objective,
  engine: Engine,
  options: LearnOptions,
): Promise<GrowthPlan> {
  const { growth } = plan;
  const [steps, rate, sequences] = ["steps", "rate", "sequences"].map((name) => Number(growth.options[name]));
  for (const [name, value] of Object.entries({ steps, sequences })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new UserError(`${value} is not a whole number above 0`, `--${name}`, "give one, such as 100");
    }
  }
  const batch = { sequences, accumulate: 1, masked: 0.15 };
  const { perSequence, tokensPerStep } = dataSize(dataset, objective, batch);
  const settings = { objective, batch, optimizer: { ...rule, dropout: 0 } };
  const common = stepCommon(settings, growth.target, dataset.info.length, perSequence);
  const maps = coefficientsOf(plan);
  const step = new GrownBuilder(plan);
  const { loss } = buildLoss(step, growth.target, common.loss);
  step.output("loss", loss);
  const states = maps.map((map) => step.state(map.name, map.shape));
  addUpdates(step, maps, differentiate(step, loss, states), rule);
  const program = step.build();
  for (const parameter of source.model.parameters) {
    await engine.write(stored(parameter.name), shapeOf(parameter), await source.weights.readF32(parameter.name));
  }
  for (const { name, shape, start } of maps) {
    await engine.write(name, shape, start);
    await resetMoments(engine, name, shape);
  }
  const executable = await engine.compile(program);
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const made = trainingBatch(dataset, { objective, seed: growth.seed, step: i, micro: 0, batch });
    const now = rate * Math.min((i + 1) / Math.max(1, 0.1 * steps), (steps - i) / steps);
    const found = await executable.run({ ...batchInputs(made), rate: Float32Array.of(now) });
    if (!Number.isFinite(found.loss[0]) || !Number.isFinite(found.norm[0])) {
      throw new UserError(`the loss of step ${i + 1} is not a number`, "--rate", "give a lower rate");
    }
    losses.push(found.loss[0]);
    options.progress?.(i + 1, steps, found.loss[0]);
  }
  await executable.release();
  const weights = await engine.compile(grownWeights(plan));
  const learned = await weights.run({});
  await weights.release();
  return {
    ...plan,
    parameters: plan.parameters.map((planned) => {
      const values = learned[planned.parameter.name];
      if (!(values instanceof Float32Array)) return planned;
      return { ...planned, weight: held(planned.shape, values, planned.weight.reads) };
    }),
    learned: {
      steps,
      tokens: steps * tokensPerStep,
      objective,
      data: fingerprint(dataset),
      engine: engine.description,
      loss: { first: losses[0], last: losses[losses.length - 1] },
      flops: { exact: steps * flops(program).total, paper: steps * paperFlops(growth.target, common.shape).total },
    },
  };
}

/** A program whose outputs are the parameters that the maps change. */
export function grownWeights(plan: GrowthPlan): Program {
  return grownBy(plan).build();
}

/** The maps with their starting values: copies and their shares, and noise without which copies would stay alike. */
export function coefficientsOf(plan: GrowthPlan): readonly Coefficient[] {
  return [...grownBy(plan).maps].map(([name, { shape, start }]) => ({ name, shape, start: start(), decays: false }));
}

function grownBy(plan: GrowthPlan): GrownBuilder {
  const b = new GrownBuilder(plan);
  for (const parameter of plan.growth.target.parameters) {
    if (isMade(plan, parameter)) b.output(parameter.name, b.state(parameter.name, shapeOf(parameter)));
  }
  return b;
}

/** Under which name the engine holds a parameter of the source. */
export const stored = (name: string) => `source/${name}`;

function isMade(plan: GrowthPlan, parameter: Parameter): boolean {
  const deeper = plan.growth.target.dimensions.layers > plan.growth.source.dimensions.layers;
  return (
    (deeper && parameter.layer !== null) || parameter.dims.some((dim) => grownFactors(plan.growth, dim).length > 0)
  );
}

/** What is held in memory, as a recipe. */
function held(shape: readonly number[], values: Float32Array, reads: readonly string[]): Recipe {
  const width = shape[shape.length - 1];
  return {
    shape,
    reads,
    words: "learned",
    async fill(out, row) {
      out.set(values.subarray(row * width, row * width + out.length));
    },
  };
}

/** A builder in which a parameter of the target is made from those of the source by the maps. */
class GrownBuilder extends ProgramBuilder {
  readonly #plan: GrowthPlan;
  readonly #parameters: ReadonlyMap<string, Parameter>;
  readonly #made = new Map<string, Value>();
  /** The maps that were needed, in the order of their first use. */
  readonly maps = new Map<string, Pick<Coefficient, "shape"> & { readonly start: () => Float32Array }>();

  constructor(plan: GrowthPlan) {
    super();
    this.#plan = plan;
    this.#parameters = new Map(plan.growth.target.parameters.map((parameter) => [parameter.name, parameter]));
  }

  override state(name: string, shape: Shape): Value {
    const parameter = this.#parameters.get(name);
    if (parameter === undefined) return super.state(name, shape);
    const known = this.#made.get(name) ?? this.#make(parameter);
    this.#made.set(name, known);
    return known;
  }

  #make(parameter: Parameter): Value {
    const { growth, layers } = this.#plan;
    const { source, target } = growth;
    const { layer } = parameter;
    if (layer === null || target.dimensions.layers === source.dimensions.layers) return this.#widened(parameter, layer);
    const from = layersOf(growth, parameter.kind);
    if (from.length === 0) return constant(this, Number(parameter.part === "norm-gain"), shapeOf(parameter));
    const size = elements(parameter);
    const all = `depth/${parameter.kind}`;
    let rows = this.#made.get(all);
    if (rows === undefined) {
      const each = from.map((one) => reshape(this, this.#widened(parameter, one), [1, size]));
      const start = () => {
        const values = new Float32Array(layers.length * from.length);
        layers.forEach((one, i) => {
          values[i * from.length + Math.max(0, from.indexOf(one.from))] = 1;
        });
        return values;
      };
      rows = matmul(this, this.#map(all, [layers.length, from.length], start), concat(this, each, 0));
      this.#made.set(all, rows);
    }
    return reshape(this, slice(this, rows, 0, layer, layer + 1), shapeOf(parameter));
  }

  #widened(parameter: Parameter, layer: number | null): Value {
    const { growth } = this.#plan;
    const from = sourceParameter(growth, parameter, layer);
    let value = super.state(stored(from.name), shapeOf(from));
    parameter.dims.forEach((dim, d) => {
      if (grownFactors(growth, dim).length === 0) return;
      const learned = learnedOf(dim);
      const size = learnedOf(from.dims[d]).size;
      const name = mapName(learned);
      const coefficient = this.#map(name, [learned.size, size], () => starting(growth, name, learned, size));
      const blocks = dim.size / learned.size;
      const parts = Array.from({ length: blocks }, (_, block) =>
        blocks === 1 ? value : slice(this, value, d, block * size, (block + 1) * size),
      ).map((part) => along(this, part, d, coefficient));
      value = blocks === 1 ? parts[0] : concat(this, parts, d);
    });
    return value;
  }

  #map(name: string, shape: Coefficient["shape"], start: () => Float32Array): Value {
    if (!this.maps.has(name)) this.maps.set(name, { shape, start });
    return super.state(name, shape);
  }
}

/** The source's layers that have a kind of parameter: not always all. */
function layersOf({ source }: Growth, kind: string): readonly number[] {
  return source.parameters.flatMap((one) => (one.kind === kind && one.layer !== null ? [one.layer] : []));
}

/** A vector or a matrix with a map applied along dimension `d`. */
function along(b: ProgramBuilder, x: Value, d: number, map: Value): Value {
  if (x.shape.length === 1) {
    return reshape(b, matmul(b, reshape(b, x, [1, x.shape[0]]), map, { transposeY: true }), [map.shape[0]]);
  }
  return d === 0 ? matmul(b, map, x) : matmul(b, x, map, { transposeY: true });
}

/** What of a dimension one matrix is learned for: all but what lies side by side. */
function learnedOf({ role, factors }: Dim): Dim {
  const first = factors.findIndex(({ axis }) => AXES[axis].grows);
  const learned = factors.slice(first);
  return { role, factors: learned, size: learned.reduce((product, { size }) => product * size, 1) };
}

/** Axes that follow another share its matrix. */
function mapName({ factors, role }: Dim): string {
  const axes = factors.filter(({ axis }) => AXES[axis].grows).map(({ axis }) => AXES[AXES[axis].follows ?? axis].name);
  return `${role === "out" ? "B" : "A"}/${axes.join(" and ")}`;
}

/** Copies and their shares of what is read, with noise. @param size of the source */
function starting(given: Growth, name: string, dim: Dim, size: number): Float32Array {
  const growth = { ...given, maps: given.drawn };
  const jitter = Number(given.options.jitter);
  const shares = dim.role === "in" ? sharesAlong(growth, dim) : new Float64Array(dim.size).fill(1);
  const start = new Float32Array(dim.size * size);
  const random = new RandomStream(growth.seed, `ligo/${name}`);
  indexAlong(growth, dim).forEach((unit, j) => {
    const row = j * size;
    const scale = (shares[j] * jitter) / Math.sqrt(size);
    if (scale > 0) for (let i = 0; i < size; i++) start[row + i] = scale * random.normal(row + i);
    start[row + unit] += shares[j];
  });
  return start;
}
