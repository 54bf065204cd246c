/** What a study's methods mean: how each begins and its stages, checked against the models before anything runs. */
import type { WidthMethod } from "../growth/growth.ts";
import { methodOf as growthMethodOf } from "../growth/methods.ts";
import { checkLearned, planGrowth, resizedModel } from "../growth/plan.ts";
import { type Model, resizeModel } from "../model/architecture.ts";
import { stageGrowthPlan } from "../train/growth.ts";
import type { Plan } from "../train/plan/plans/plan.ts";
import { plans as namedPlans } from "../train/plan/plans/plans.ts";
import { checkStages, PlanError, type StageSpec } from "../train/plan/stage.ts";
import { planSchemaOf } from "../train/run/schema.ts";
import { expandPlan } from "../train/run/settings.ts";
import { UserError } from "../util/errors.ts";
import type { MethodGrowth } from "./methods.ts";
import type { Study, StudyMethod } from "./settings.ts";

/** What a program adds to what the library knows by name. */
export interface Additions {
  readonly growthMethods?: readonly WidthMethod[];
  readonly plans?: readonly Plan[];
}

/** What a method begins with, and its stages. */
export interface MethodPlan {
  readonly model: Model;
  /** How the model is grown from the source; undefined: it is drawn. */
  readonly growth: MethodGrowth | undefined;
  readonly plan: readonly StageSpec[];
}

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
): Promise<MethodPlan> {
  const at = ["methods", method.name];
  const model = startOf(study, method, source, target, additions);
  const raw = method.plan ?? method.definition?.plan(target.dimensions) ?? "full";
  const plan = await stagesOf(study, raw, model.dimensions.layers, additions, [...at, "plan"]);
  const ends = fitting(study, [...at, "plan"], () =>
    plan.reduce((now, { grow }) => (grow === undefined ? now : stageGrowthPlan(now, grow, 0).growth.target), model),
  );
  for (const axis of ["layers", "hidden", "heads", "ffn"] as const) {
    const [is, would] = [target.dimensions[axis], ends.dimensions[axis]];
    if (is === would) continue;
    const wayOut = "let its last `grow` make the target, so that what is compared is one network";
    throw study.file.error(at, `its plan ends with ${axis} of ${would}, the target has ${is}`, wayOut);
  }
  return { model, growth: method.growth, plan };
}

function startOf(study: Study, method: StudyMethod, source: Model, target: Model, additions: Additions): Model {
  const { growth } = method;
  if (growth !== undefined) {
    fitting(study, ["methods", method.name], () =>
      checkLearned(planGrowth(source, target, { ...growth, method: growthMethod(growth.method, additions) })),
    );
    return target;
  }
  const init = method.init ?? method.definition?.init?.(target.dimensions) ?? {};
  const narrower = init.hidden !== undefined || init.heads !== undefined;
  const { layers } = target.dimensions;
  return fitting(study, ["methods", method.name, "init"], () =>
    narrower ? resizedModel(target, init) : resizeModel(target, { layers, ...init }, "target"),
  );
}

/** A plan as written, a program's own by name included, as stages. @throws UserError */
export async function stagesOf(
  study: Study,
  raw: unknown,
  layers: number,
  { plans = [] }: Additions,
  at: readonly string[],
): Promise<readonly StageSpec[]> {
  const known = [...namedPlans, ...plans];
  const parsed = planSchemaOf(known).safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const hint = issue.code === "custom" ? issue.params?.wayOut : undefined;
    throw study.file.error(at, issue.message, typeof hint === "string" ? hint : "mend the plan");
  }
  const stages = await expandPlan(parsed.data, layers, known);
  fitting(study, at, () => checkStages(stages, layers));
  return stages;
}

/** Does what may find that a plan or a model does not fit. @throws UserError where it is written */
export function fitting<T>(study: Study, at: readonly string[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PlanError) throw study.file.error(at, error.message, "change the plan, or the budget");
    if (error instanceof UserError) throw study.file.error(at, `${error.where}: ${error.what}`, error.wayOut);
    throw error;
  }
}
