/**
 * A study's cells: tokenizer, prepared data, source, grown models and runs, each once however many methods use it. A
 * cell is known by a key, the hash of its specification; the specification holds the keys of the cells it is made from.
 */
import type { WidthMethod } from "../growth/growth.ts";
import { resizedModel, targetModel } from "../growth/plan.ts";
import type { Model } from "../model/architecture.ts";
import { architectureOf } from "../model/architectures.ts";
import { parameterCount } from "../model/table.ts";
import type { StageSpec } from "../train/plan/stage.ts";
import type { FlopsSoFar } from "../train/step/terms.ts";
import type { Json } from "../util/json.ts";
import { type Branched, branched, stepsOf } from "./branches.ts";
import { planFlops, stageCosts, stepsWithin } from "./budget.ts";
import { asJson, keyOf } from "./identity.ts";
import { type StudyInputs, sourceConfig } from "./inputs.ts";
import type { MethodGrowth } from "./methods.ts";
import { type Additions, fitting, growthMethod, methodPlan, type Start, stagesOf } from "./plans.ts";
import { REFERENCE, type Study, type StudyMethod, type Training } from "./settings.ts";

interface CellBase {
  readonly key: string;
  /** Folder name. */
  readonly id: string;
  readonly spec: Json;
  /** For a person. */
  readonly title: string;
  /** The cells that it is made from. */
  readonly needs: readonly Cell[];
  /** What others use of it: a folder in its own. */
  readonly output: string;
}
/** Something that lies outside the study. */
export interface GivenCell extends CellBase {
  readonly kind: "given";
  readonly folder: string;
}
export interface TokenizerCell extends CellBase {
  readonly kind: "tokenizer";
}
export interface DataCell extends CellBase {
  readonly kind: "data";
  readonly tokenizer: TokenizerCell;
}
export interface GrownCell extends CellBase {
  readonly kind: "grown";
  readonly source: RunCell | GivenCell;
  readonly target: Model;
  readonly growth: MethodGrowth;
  readonly method: WidthMethod;
  readonly seed: number;
}
/** What a run begins with: random weights, a grown model, or another run's first steps, which are its own. */
type RunStart =
  | { readonly init: Json }
  | { readonly grown: GrownCell }
  | { readonly trunk: RunCell; readonly step: number };

export interface RunCell extends CellBase {
  readonly kind: "run";
  readonly data: DataCell | GivenCell;
  readonly start: RunStart;
  readonly seed: number;
  readonly optimizer: Training["optimizer"];
  readonly schedule: Training["schedule"];
  readonly plan: readonly StageSpec[];
  readonly steps: number;
  /** Steps whose checkpoints stay: branches start there. */
  readonly keep: readonly number[];
  /** Reckoned from the programs, before it runs; a trunk's first steps included. */
  readonly flops: FlopsSoFar;
  /** Of the model that it ends with. */
  readonly parameters: number;
}
export type Cell = GivenCell | TokenizerCell | DataCell | GrownCell | RunCell;

/** All that a study's settings mean, before anything runs. */
export class StudyCells {
  readonly study: Study;
  readonly data: DataCell | GivenCell;
  readonly sourceModel: Model;
  readonly target: Model;
  readonly source: RunCell | GivenCell;
  /** The source where it is a run of the study's: some method grows it, and it is not given. */
  readonly ownSource: RunCell | undefined;
  /** Tokens of a sequence. */
  readonly length: number;
  readonly budget: { readonly steps: number; readonly tokens: number; readonly flops: FlopsSoFar };
  readonly #plans: ReadonlyMap<string, { readonly start: Start; readonly plan: readonly StageSpec[] }>;
  readonly #additions: Additions;
  readonly #costs = new Map<string, readonly FlopsSoFar[]>();

  private constructor(
    study: Study,
    inputs: StudyInputs,
    models: { readonly source: Model; readonly target: Model },
    plans: { readonly source: readonly StageSpec[]; readonly methods: StudyCellsPlans },
    additions: Additions,
  ) {
    this.study = study;
    this.sourceModel = models.source;
    this.target = models.target;
    this.#plans = plans.methods;
    this.#additions = additions;
    const { training, data, source } = study;
    this.data = dataCell(study, inputs);
    this.length = "length" in inputs.data ? inputs.data.length : "length" in data ? data.length : 0;
    const perStep = training.batch.sequences * training.batch.accumulate * this.length;
    const steps = "steps" in study.budget ? study.budget.steps : Math.ceil(study.budget.tokens / perStep);
    const { start, plan } = this.#plan(REFERENCE);
    const begins = start.kind === "init" ? start.model : this.target;
    const flops = fitting(study, ["methods", REFERENCE, "plan"], () =>
      planFlops(plan, this.#costsOf(begins, plan), steps),
    );
    this.budget = { steps, tokens: steps * perStep, flops };
    if ("from" in source) {
      this.source = given(inputs.source?.key ?? "", "the source", source.from);
    } else {
      const own =
        source.length === undefined
          ? steps
          : "steps" in source.length
            ? source.length.steps
            : Math.ceil(source.length.tokens / perStep);
      const parameters = parameterCount(this.sourceModel.parameters);
      this.source = this.#run("the source", { init: this.sourceModel.config }, this.sourceModel, plans.source, {
        parameters,
        seed: source.seed,
        optimizer: source.optimizer,
        schedule: source.schedule,
        steps: own,
        length: { steps: own },
      });
    }
    const grown = study.methods.some(({ growth }) => growth !== undefined);
    this.ownSource = grown && this.source.kind === "run" ? this.source : undefined;
  }

  /** @throws UserError for what does not fit together, before anything runs */
  static async open(study: Study, inputs: StudyInputs, additions: Additions = {}): Promise<StudyCells> {
    const config = "from" in study.source ? sourceConfig(inputs) : study.source.config;
    const where = "from" in study.source ? study.source.from : study.file.where(["source", "config"]);
    const source = architectureOf(config, where).model(config, where);
    const at = study.file.where(["target"]);
    const target =
      "config" in study.target ? targetModel(source, study.target.config, at) : resizedModel(source, study.target);
    const plans = new Map<string, { readonly start: Start; readonly plan: readonly StageSpec[] }>();
    for (const method of study.methods)
      plans.set(method.name, await methodPlan(study, method, source, target, additions));
    const sourcePlan = "from" in study.source ? "full" : (study.source.plan ?? "full");
    const own = await stagesOf(study, sourcePlan, source.dimensions.layers, additions, ["source", "plan"]);
    return new StudyCells(study, inputs, { source, target }, { source: own, methods: plans }, additions);
  }

  /**
   * The cell of a method with a rate and a seed. @param share of the budget, one of `sharesOf`
   * @throws UserError
   */
  method(method: StudyMethod, rate: number, seed: number, share = 1): RunCell {
    const { start, plan, model, steps } = this.#planned(method);
    const { accounting } = this.study;
    const title = `${method.name}, seed ${seed}${method.rates.length > 1 ? `, rate ${rate}` : ""}`;
    const begin =
      start.kind === "init" ? { init: model.config } : { grown: this.#grown(method.name, start.growth, seed) };
    const common = {
      seed,
      parameters: parameterCount(this.target.parameters),
      optimizer: { ...method.optimizer, lr: rate },
    };
    const made = this.#branched(method);
    if (made === undefined || method.branches === undefined) {
      const length = { flopsOf: { config: this.target.config, steps: this.budget.steps, accounting } };
      return this.#run(title, begin, model, plan, { ...common, schedule: method.schedule, steps, length });
    }
    const warmup = stepsOf(method.schedule.warmup, steps);
    const trunk = this.#run(`the trunk of ${title}`, begin, model, made.trunk.plan, {
      ...{ ...common, schedule: { warmup, decay: "constant" }, steps: made.trunk.steps },
      ...{ length: { steps: made.trunk.steps }, keep: made.branches.map(({ from }) => from) },
    });
    const branch = made.branches.find((one) => one.share === share);
    if (branch === undefined) throw new Error(`no branch of ${method.name} ends at ${share}`);
    const at = share === 1 ? "" : `, at ${Math.round(100 * share)} %`;
    return this.#run(`${title}${at}`, { trunk, step: branch.from }, model, branch.plan, {
      ...{ ...common, schedule: { warmup, decay: method.branches.decay, cooldown: branch.cooldown } },
      ...{ steps: branch.steps, length: { steps: branch.steps } },
    });
  }

  /** Shares of the budget at which a method's runs end; of one without branches, the whole alone. */
  sharesOf(method: StudyMethod): readonly number[] {
    return this.#branched(method)?.branches.map(({ share }) => share) ?? [1];
  }

  #branched(method: StudyMethod): Branched | undefined {
    const { branches } = method;
    if (branches === undefined) return undefined;
    const { plan, costs, steps } = this.#planned(method);
    const { accounting } = this.study;
    return fitting(this.study, ["methods", method.name, "plan"], () =>
      branched(plan, costs, steps, this.budget.flops[accounting], accounting, branches),
    );
  }

  /** A method's plan with the model it begins with, what a step of each stage costs, and the steps the budget pays. */
  #planned({ name }: StudyMethod) {
    const { start, plan } = this.#plan(name);
    const { accounting } = this.study;
    const model = start.kind === "init" ? start.model : this.target;
    const costs = this.#costsOf(model, plan);
    const steps = fitting(this.study, ["methods", name, "plan"], () =>
      stepsWithin(this.budget.flops[accounting], plan, costs, accounting),
    );
    return { start, plan, model, costs, steps };
  }

  /** What a method begins with. */
  beginsOf({ name }: StudyMethod): Model {
    const { start } = this.#plan(name);
    return start.kind === "init" ? start.model : this.sourceModel;
  }

  /** The stages of a method. */
  planOf(method: StudyMethod): readonly StageSpec[] {
    return this.#plan(method.name).plan;
  }

  #plan(name: string) {
    const found = this.#plans.get(name);
    if (found === undefined) throw new Error(`no plan for ${name}`);
    return found;
  }

  #grown(name: string, growth: MethodGrowth, seed: number): GrownCell {
    const method = growthMethod(growth.method, this.#additions);
    const { map = "cyclic", depth = "stack", moments = "drop", options = {} } = growth;
    const { source, target } = this;
    const spec = {
      ...{ source: source.key, target: target.config, method: growth.method },
      ...{ options, map, depth, moments, seed },
    };
    const base = made("grown", spec, `the growth of ${name}, seed ${seed}`, [source], "model");
    return { ...base, source, target, growth: { ...growth, map, depth, moments, options }, method, seed };
  }

  #run(
    title: string,
    start: RunCell["start"],
    model: Model,
    plan: readonly StageSpec[],
    run: Pick<RunCell, "seed" | "optimizer" | "schedule" | "steps" | "parameters"> & {
      readonly length: object;
      readonly keep?: readonly number[];
    },
  ): RunCell {
    const { objective, batch, evaluate, engine } = this.study.training;
    const { seed, optimizer, schedule, steps, parameters, length, keep = [] } = run;
    const [begin, ...needs] =
      "init" in start
        ? [start]
        : "grown" in start
          ? [{ grown: start.grown.key }, start.grown]
          : [{ trunk: start.trunk.key, step: start.step }, start.trunk];
    const spec = {
      ...{ start: begin, data: this.data.key, objective, batch },
      ...{ optimizer, schedule, plan, evaluate, seed, length, precision: engine.precision },
    };
    const flops = fitting(this.study, ["source", "plan"], () => planFlops(plan, this.#costsOf(model, plan), steps));
    const base = made("run", spec, title, [this.data, ...needs], "run");
    return { ...base, data: this.data, start, seed, optimizer, schedule, plan, steps, keep, flops, parameters };
  }

  #costsOf(model: Model, plan: readonly StageSpec[]): readonly FlopsSoFar[] {
    const key = JSON.stringify([model.config, plan]);
    const known = this.#costs.get(key) ?? stageCosts(model, plan, this.study.training, this.length);
    this.#costs.set(key, known);
    return known;
  }
}

type StudyCellsPlans = ReadonlyMap<string, { readonly start: Start; readonly plan: readonly StageSpec[] }>;

/** What all cells of the study's own have. A field that is not given is left out of what is hashed. */
function made<K extends Cell["kind"]>(kind: K, given: object, title: string, needs: readonly Cell[], output: string) {
  const spec = asJson({ kind, ...given });
  const key = keyOf(spec);
  return { kind, key, id: `${kind}-${key}`, spec, title, needs, output };
}

function given(key: string, title: string, folder: string): GivenCell {
  const spec = { kind: "given", key } as const;
  return { ...spec, id: `given-${key}`, spec, title, needs: [], output: "", folder };
}

function dataCell({ data }: Study, inputs: StudyInputs): DataCell | GivenCell {
  if ("from" in data) return given("prepared" in inputs.data ? inputs.data.prepared : "", "the data", data.from);
  const files = "files" in inputs.data ? inputs.data.files.map((file) => file.sha256) : [];
  const { field, length, validation } = data;
  const words = { files, field, tokenizer: data.tokenizer };
  const tokenizer: TokenizerCell = made("tokenizer", words, "the tokenizer", [], "tokenizer");
  const spec = { files, tokenizer: tokenizer.key, length, validation };
  return { ...made("data", spec, "the data", [tokenizer], "data"), tokenizer };
}
