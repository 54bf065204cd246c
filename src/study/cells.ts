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
import { branched, stepsOf } from "./branches.ts";
import { planFlops, stageCosts, stepsWithin } from "./budget.ts";
import { asJson, keyOf } from "./identity.ts";
import { type StudyInputs, sourceConfig } from "./inputs.ts";
import type { MethodGrowth } from "./methods.ts";
import { type Additions, fitting, growthMethod, type MethodPlan, methodPlan, stagesOf } from "./plans.ts";
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

/** What a run is made from. @see RunCell */
interface RunParts
  extends Pick<RunCell, "start" | "seed" | "optimizer" | "schedule" | "plan" | "steps" | "parameters"> {
  readonly model: Model;
  /** What its length follows from, as far as it is known by it; default: its steps. */
  readonly length?: object;
  readonly keep?: readonly number[];
}

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
  readonly #plans: ReadonlyMap<string, MethodPlan>;
  readonly #additions: Additions;
  readonly #costs = new Map<string, readonly FlopsSoFar[]>();

  private constructor(
    study: Study,
    inputs: StudyInputs,
    models: { readonly source: Model; readonly target: Model },
    plans: { readonly source: readonly StageSpec[]; readonly methods: ReadonlyMap<string, MethodPlan> },
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
    const stepsOfLength = (length: Study["budget"]) =>
      "steps" in length ? length.steps : Math.ceil(length.tokens / perStep);
    const steps = stepsOfLength(study.budget);
    const { model, plan } = this.#plan(REFERENCE);
    const flops = fitting(study, ["methods", REFERENCE, "plan"], () =>
      planFlops(plan, this.#costsOf(model, plan), steps),
    );
    this.budget = { steps, tokens: steps * perStep, flops };
    this.source =
      "from" in source
        ? given(inputs.source?.key ?? "", "the source", source.from)
        : this.#run("the source", {
            ...{ start: { init: this.sourceModel.config }, model: this.sourceModel, plan: plans.source },
            ...{ seed: source.seed, optimizer: source.optimizer, schedule: source.schedule },
            ...{ steps: source.length === undefined ? steps : stepsOfLength(source.length) },
            parameters: parameterCount(this.sourceModel.parameters),
          });
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
    const methods = new Map<string, MethodPlan>();
    for (const method of study.methods)
      methods.set(method.name, await methodPlan(study, method, source, target, additions));
    const sourcePlan = "from" in study.source ? "full" : (study.source.plan ?? "full");
    const own = await stagesOf(study, sourcePlan, source.dimensions.layers, additions, ["source", "plan"]);
    return new StudyCells(study, inputs, { source, target }, { source: own, methods }, additions);
  }

  /**
   * The cell of a method with a rate and a seed. @param share of the budget, one of `sharesOf`
   * @throws UserError
   */
  method(method: StudyMethod, rate: number, seed: number, share = 1): RunCell {
    const { growth, plan, model, steps, branched } = this.#planned(method);
    const title = `${method.name}, seed ${seed}${method.rates.length > 1 ? `, rate ${rate}` : ""}`;
    const whole = {
      ...{ start: growth === undefined ? { init: model.config } : { grown: this.#grown(method.name, growth, seed) } },
      ...{ model, plan, seed, schedule: method.schedule, steps, optimizer: { ...method.optimizer, lr: rate } },
      parameters: parameterCount(this.target.parameters),
    };
    if (branched === undefined || method.branches === undefined) {
      const { accounting } = this.study;
      const flopsOf = { config: this.target.config, steps: this.budget.steps, accounting };
      return this.#run(title, { ...whole, length: { flopsOf } });
    }
    const warmup = stepsOf(method.schedule.warmup, steps);
    const trunk = this.#run(`the trunk of ${title}`, {
      ...{ ...whole, ...branched.trunk, schedule: { warmup, decay: "constant" } },
      keep: branched.branches.map(({ from }) => from),
    });
    const branch = branched.branches.find((one) => one.share === share);
    if (branch === undefined) throw new Error(`no branch of ${method.name} ends at ${share}`);
    return this.#run(`${title}${share === 1 ? "" : `, at ${Math.round(100 * share)} %`}`, {
      ...{ ...whole, start: { trunk, step: branch.from }, plan: branch.plan, steps: branch.steps },
      schedule: { warmup, decay: method.branches.decay, cooldown: branch.cooldown },
    });
  }

  /** Shares of the budget at which a method's runs end; of one without branches, the whole alone. */
  sharesOf(method: StudyMethod): readonly number[] {
    return this.#planned(method).branched?.branches.map(({ share }) => share) ?? [1];
  }

  /** A method's plan, with the steps that the budget pays and its branches, if it has any. */
  #planned({ name, branches }: StudyMethod) {
    const own = this.#plan(name);
    const { accounting } = this.study;
    const budget = this.budget.flops[accounting];
    const costs = this.#costsOf(own.model, own.plan);
    return fitting(this.study, ["methods", name, "plan"], () => {
      const steps = stepsWithin(budget, own.plan, costs, accounting);
      return { ...own, steps, branched: branches && branched(own.plan, costs, steps, budget, accounting, branches) };
    });
  }

  /** What a method begins with. */
  beginsOf({ name }: StudyMethod): Model {
    const { growth, model } = this.#plan(name);
    return growth === undefined ? model : this.sourceModel;
  }

  /** The stages of a method. */
  planOf(method: StudyMethod): readonly StageSpec[] {
    return this.#plan(method.name).plan;
  }

  #plan(name: string): MethodPlan {
    const found = this.#plans.get(name);
    if (found === undefined) throw new Error(`no plan for ${name}`);
    return found;
  }

  #grown(name: string, growth: MethodGrowth, seed: number): GrownCell {
    const method = growthMethod(growth.method, this.#additions);
    const choices = { options: {}, map: "cyclic", depth: "stack", moments: "drop", ...growth };
    const { source, target } = this;
    const spec = { source: source.key, target: target.config, ...choices, seed };
    const base = made("grown", spec, `the growth of ${name}, seed ${seed}`, [source], "model");
    return { ...base, source, target, growth: choices, method, seed };
  }

  #run(title: string, { model, length, keep = [], ...run }: RunParts): RunCell {
    const { objective, batch, evaluate, engine } = this.study.training;
    const { start, seed, optimizer, schedule, plan, steps } = run;
    const { data } = this;
    const [begin, ...needs] =
      "init" in start
        ? [start]
        : "grown" in start
          ? [{ grown: start.grown.key }, start.grown]
          : [{ trunk: start.trunk.key, step: start.step }, start.trunk];
    const spec = {
      ...{ start: begin, data: data.key, objective, batch },
      ...{ optimizer, schedule, plan, evaluate, seed, length: length ?? { steps }, precision: engine.precision },
    };
    const flops = fitting(this.study, ["source", "plan"], () => planFlops(plan, this.#costsOf(model, plan), steps));
    return { ...made("run", spec, title, [data, ...needs], "run"), ...run, data, keep, flops };
  }

  #costsOf(model: Model, plan: readonly StageSpec[]): readonly FlopsSoFar[] {
    const key = JSON.stringify([model.config, plan]);
    const known = this.#costs.get(key) ?? stageCosts(model, plan, this.study.training, this.length);
    this.#costs.set(key, known);
    return known;
  }
}

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
