/** What a study's methods mean: how each begins and its stages, checked against the models before anything runs. */
import type { WidthMethod } from "../growth/growth.ts";
import { methodOf as growthMethodOf } from "../growth/methods.ts";
import { checkLearned, planGrowth } from "../growth/plan.ts";
import { type Model, resizeModel } from "../model/architecture.ts";
import type { Plan } from "../train/plan/plans/plan.ts";
import { checkStages, PlanError, type StageSpec } from "../train/plan/stage.ts";
import { planSchema } from "../train/run/schema.ts";
import { expandPlan } from "../train/run/settings.ts";
import { UserError } from "../util/errors.ts";
import type { MethodGrowth } from "./methods.ts";
import type { Study, StudyMethod } from "./settings.ts";

/** What a program adds to what the library knows by name. */
export interface Additions {
  readonly growthMethods?: readonly WidthMethod[];
  readonly plans?: readonly Plan[];
}

export type Start =
  | { readonly kind: "init"; readonly model: Model }
  | { readonly kind: "grown"; readonly growth: MethodGrowth };

export function growthMethod(name: string, { growthMethods = [] }: Additions): WidthMethod {
  return growthMethods.find((method) => method.name === name) ?? growthMethodOf(name);
}

/** How a method begins and its stages, checked against the models. */
export async function methodPlan(
  study: Study,
  method: StudyMethod,
  source: Model,
  target: Model,
  additions: Additions,
) {
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
export async function stagesOf(
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
export function fitting<T>(study: Study, at: readonly string[], work: () => T): T {
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
