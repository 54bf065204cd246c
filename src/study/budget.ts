/**
 * How many steps a plan has for a budget of FLOPs. A plan's shares are shares of its own steps, so its last stage, and
 * with it the decay of the rate, ends where the budget ends. Sub-models count in the mean over their draws.
 */
import { predictedOf } from "../data/batch/batch.ts";
import type { Model } from "../model/architecture.ts";
import { meanFlops, stepEstimates } from "../train/estimate.ts";
import { stageModels } from "../train/growth.ts";
import { PlanError, placeStages, type Stage, type StageSpec } from "../train/plan/stage.ts";
import { stepCommon } from "../train/run/setup.ts";
import { bothCounts, type FlopsSoFar } from "../train/step/terms.ts";
import type { Training } from "./settings.ts";

/** FLOPs of a step of each stage, in both conventions. @param model that the run begins with */
export function stageCosts(
  model: Model,
  plan: readonly StageSpec[],
  training: Training,
  length: number,
): readonly FlopsSoFar[] {
  const { objective, batch } = training;
  const common = stepCommon(training, model, length, predictedOf(length, objective, batch.masked));
  const stages = plan.map((stage, index): Stage => ({ ...stage, index, start: index, end: index + 1 }));
  return stageModels(model, stages, 0, 0).map((one) => meanFlops(stepEstimates(one.model, one.stage, common)));
}

/** FLOPs of so many steps of a plan. @throws PlanError if they do not hold the plan */
export function planFlops(plan: readonly StageSpec[], costs: readonly FlopsSoFar[], steps: number): FlopsSoFar {
  const placed = placeStages(plan, steps);
  return bothCounts((count) =>
    placed.reduce((sum, { index, start, end }) => sum + (end - start) * costs[index][count], 0),
  );
}

/** The most steps of a plan that cost no more than the budget. @throws PlanError if not even the plan's own fit */
export function stepsWithin(
  budget: number,
  plan: readonly StageSpec[],
  costs: readonly FlopsSoFar[],
  accounting: keyof FlopsSoFar,
): number {
  const cheapest = Math.min(...costs.map((cost) => cost[accounting]));
  const fits = (steps: number) => {
    try {
      // A hair of slack: the run from scratch is its own budget, and sums round.
      return planFlops(plan, costs, steps)[accounting] <= budget * (1 + 1e-9);
    } catch (error) {
      if (error instanceof PlanError) return true;
      throw error;
    }
  };
  let low = 0;
  let high = Math.ceil(budget / cheapest) + 1;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  if (low === 0) throw new PlanError("the budget does not pay a single step");
  placeStages(plan, low);
  return low;
}
