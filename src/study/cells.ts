/**
 * A study's cells: tokenizer, prepared data, source, grown models and runs, each once however many methods use it. A
 * cell is known by a key, the hash of its specification; the specification holds the keys of the cells it is made from.
 */

import type { WidthMethod } from "../growth/growth.ts";
import { methodOf as growthMethodOf } from "../growth/methods.ts";
import { checkLearned, planGrowth, resizedModel, targetModel } from "../growth/plan.ts";
import { type Model, resizeModel } from "../model/architecture.ts";
import { architectureOf } from "../model/architectures.ts";
import { parameterCount } from "../model/table.ts";
import type { Plan } from "../train/plan/plans/plan.ts";
import { checkStages, PlanError, type StageSpec } from "../train/plan/stage.ts";
import { planSchema } from "../train/run/schema.ts";
import { expandPlan } from "../train/run/settings.ts";
import type { FlopsSoFar } from "../train/step/terms.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import { planFlops, stageCosts, stepsWithin } from "./budget.ts";
import { asJson, keyOf } from "./identity.ts";
import { type StudyInputs, sourceConfig } from "./inputs.ts";
import type { MethodGrowth } from "./methods.ts";
import { REFERENCE, type Study, type StudyMethod, type Training } from "./settings.ts";

interface CellBase {
  readonly key: string;
  /** Folder name. */
  readonly id: string;
  readonly spec: Json;
  /** For a person. */
  readonly title: string;
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
export interface RunCell extends CellBase {
  readonly kind: "run";
  readonly data: DataCell | GivenCell;
  readonly start: { readonly init: Json } | { readonly grown: GrownCell };
  readonly seed: number;
  readonly optimizer: Training["optimizer"];
  readonly schedule: Training["schedule"];
  readonly plan: readonly StageSpec[];
  readonly steps: number;
  /** Reckoned from the programs, before it runs. */
  readonly flops: FlopsSoFar;
  /** Of the model that it ends with. */
  readonly parameters: number;
}
export type Cell = GivenCell | TokenizerCell | DataCell | GrownCell | RunCell;

/** What a program adds to what the library knows by name. */
export interface Additions {
  readonly growthMethods?: readonly WidthMethod[];
  readonly plans?: readonly Plan[];
}

type Start =
  | { readonly kind: "init"; readonly model: Model }
  | { readonly kind: "grown"; readonly growth: MethodGrowth };

/** All that a study's settings mean, before anything runs. */
export class StudyCells {
  readonly study: Study;
  readonly data: DataCell | GivenCell;
  readonly sourceModel: Model;
  readonly target: Model;
  readonly source: RunCell | GivenCell;
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
      const key = inputs.source?.key ?? "";
      this.source = {
        kind: "given",
        key,
        id: `given-${key}`,
        spec: { kind: "given", key },
        title: "the source",
        folder: source.from,
      };
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

  /** The cell of a method with a rate and a seed. */
  method(method: StudyMethod, rate: number, seed: number): RunCell {
    const { start, plan } = this.#plan(method.name);
    const { accounting } = this.study;
    const model = start.kind === "init" ? start.model : this.target;
    const title = `${method.name}, seed ${seed}${method.rates.length > 1 ? `, rate ${rate}` : ""}`;
    const begin =
      start.kind === "init" ? { init: model.config } : { grown: this.#grown(method.name, start.growth, seed) };
    return this.#run(title, begin, model, plan, {
      seed,
      parameters: parameterCount(this.target.parameters),
      optimizer: { ...method.optimizer, lr: rate },
      schedule: method.schedule,
      steps: fitting(this.study, ["methods", method.name, "plan"], () =>
        stepsWithin(this.budget.flops[accounting], plan, this.#costsOf(model, plan), accounting),
      ),
      length: { flopsOf: { config: this.target.config, steps: this.budget.steps, accounting } },
    });
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
    const spec = asJson({
      kind: "grown",
      ...{ source: this.source.key, target: this.target.config, method: growth.method },
      ...{ options, map, depth, moments, seed },
    });
    const key = keyOf(spec);
    const whole = { ...growth, map, depth, moments, options };
    const title = `the growth of ${name}, seed ${seed}`;
    return {
      kind: "grown",
      key,
      id: `grown-${key}`,
      spec,
      title,
      source: this.source,
      target: this.target,
      growth: whole,
      method,
      seed,
    };
  }

  #run(
    title: string,
    start: RunCell["start"],
    model: Model,
    plan: readonly StageSpec[],
    run: Pick<RunCell, "seed" | "optimizer" | "schedule" | "steps" | "parameters"> & { readonly length: object },
  ): RunCell {
    const { objective, batch, evaluate, engine } = this.study.training;
    const { seed, optimizer, schedule, steps, parameters, length } = run;
    const spec = asJson({
      kind: "run",
      ...{ start: "init" in start ? start : { grown: start.grown.key }, data: this.data.key, objective, batch },
      ...{ optimizer, schedule, plan, evaluate, seed, length, precision: engine.precision },
    });
    const key = keyOf(spec);
    const flops = fitting(this.study, ["source", "plan"], () => planFlops(plan, this.#costsOf(model, plan), steps));
    const made = { key, id: `run-${key}`, spec, title, data: this.data, start };
    return { kind: "run", ...made, seed, optimizer, schedule, plan, steps, flops, parameters };
  }

  #costsOf(model: Model, plan: readonly StageSpec[]): readonly FlopsSoFar[] {
    const key = JSON.stringify([model.config, plan]);
    const known = this.#costs.get(key) ?? stageCosts(model, plan, this.study.training, this.length);
    this.#costs.set(key, known);
    return known;
  }
}

type StudyCellsPlans = ReadonlyMap<string, { readonly start: Start; readonly plan: readonly StageSpec[] }>;

function dataCell(study: Study, inputs: StudyInputs): DataCell | GivenCell {
  const { data } = study;
  if ("from" in data) {
    const key = "prepared" in inputs.data ? inputs.data.prepared : "";
    return {
      kind: "given",
      key,
      id: `given-${key}`,
      spec: { kind: "given", key },
      title: "the data",
      folder: data.from,
    };
  }
  const files = "files" in inputs.data ? inputs.data.files.map((file) => file.sha256) : [];
  // A field that is not given is left out of what is hashed.
  const made = { kind: "tokenizer", files, field: data.field, tokenizer: data.tokenizer };
  const tokenizerKey = keyOf(asJson(made));
  const tokenizer: TokenizerCell = {
    ...{ kind: "tokenizer", key: tokenizerKey, id: `tokenizer-${tokenizerKey}` },
    ...{ spec: asJson(made), title: "the tokenizer" },
  };
  const spec = asJson({
    kind: "data",
    ...{ files, tokenizer: tokenizerKey, length: data.length, validation: data.validation },
  });
  const key = keyOf(spec);
  return { kind: "data", key, id: `data-${key}`, spec, title: "the data", tokenizer };
}

function growthMethod(name: string, { growthMethods = [] }: Additions): WidthMethod {
  return growthMethods.find((method) => method.name === name) ?? growthMethodOf(name);
}

/** How a method begins and its stages, checked against the models. */
async function methodPlan(study: Study, method: StudyMethod, source: Model, target: Model, additions: Additions) {
  const { layers } = target.dimensions;
  const at = ["methods", method.name];
  const start = startOf(study, method, source, target, additions);
  const raw = method.plan ?? method.definition?.plan(layers) ?? "full";
  const begins = start.kind === "init" ? start.model.dimensions.layers : layers;
  return { start, plan: await stagesOf(study, raw, begins, additions, [...at, "plan"]) };
}

function startOf(study: Study, method: StudyMethod, source: Model, target: Model, additions: Additions): Start {
  const { growth } = method;
  if (growth !== undefined) {
    try {
      checkLearned(planGrowth(source, target, { ...growth, method: growthMethod(growth.method, additions) }));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw study.file.error(["methods", method.name], `${error.where}: ${error.what}`, error.wayOut);
    }
    return { kind: "grown", growth };
  }
  const init = method.init ?? method.definition?.init?.(target.dimensions.layers) ?? {};
  const { layers = target.dimensions.layers } = init;
  return { kind: "init", model: resizeModel(target, { layers }, "target") };
}

/** A plan as written, a program's own by name included, as stages. @throws UserError */
async function stagesOf(
  study: Study,
  raw: unknown,
  layers: number,
  { plans = [] }: Additions,
  at: readonly string[],
): Promise<readonly StageSpec[]> {
  const [name, options] = named(raw);
  const own = plans.find((plan) => plan.name === name);
  let stages: readonly StageSpec[];
  if (own !== undefined) {
    stages = own.expand(own.options.parse(options ?? {}), layers);
  } else {
    const parsed = planSchema.safeParse(raw);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const hint = issue.code === "custom" ? issue.params?.wayOut : undefined;
      throw study.file.error(at, issue.message, typeof hint === "string" ? hint : "mend the plan");
    }
    stages = await expandPlan(parsed.data, layers);
  }
  fitting(study, at, () => checkStages(stages, layers));
  return stages;
}

/** Does what may find that a plan does not fit. @throws UserError where it is written */
function fitting<T>(study: Study, at: readonly string[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    throw study.file.error(at, error.message, "change the plan, or the budget");
  }
}

/** `full`, `{two-stage: {…}}`: the name and what stands with it. */
function named(raw: unknown): readonly [string | undefined, unknown] {
  if (typeof raw === "string") return [raw, undefined];
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return [undefined, undefined];
  return Object.entries(raw)[0] ?? [undefined, undefined];
}
