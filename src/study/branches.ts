/**
 * A trunk at a constant rate and branches that anneal it: what a method's loss is worth at several budgets, each decayed
 * to its own end, for little more than one run. METHOD: Hu et al., "MiniCPM" (2024); Hägele et al., "Scaling Laws and
 * Compute-Optimal Training Beyond Fixed Training Durations" (NeurIPS 2024).
 */
import type { Decay } from "../train/plan/schedule.ts";
import { PlanError, placeStages, type StageSpec } from "../train/plan/stage.ts";
import type { FlopsSoFar } from "../train/step/terms.ts";
import { planFlops } from "./budget.ts";

/** What a study's file says of them. */
export interface Branches {
  /** Shares of the budget of FLOPs at which a branch ends; 1 is among them. */
  readonly at: readonly number[];
  /** Share of a branch's steps, from the run's first one on, in which the rate falls. */
  readonly cooldown: number;
  readonly decay: Decay;
}

/** A branch: the run that ends after `steps`, of which the trunk has done the first `from`. */
export interface Branch {
  readonly share: number;
  readonly from: number;
  readonly steps: number;
}

/** A plan with its branches. Every stage but the last has its steps as a number: the trunk is one for all branches. */
export interface Branched {
  readonly plan: readonly StageSpec[];
  /** As far as the trunk runs. */
  readonly trunk: { readonly plan: readonly StageSpec[]; readonly steps: number };
  /** By their shares, the whole budget last. One whose decay would begin before the plan's last stage is not there. */
  readonly branches: readonly Branch[];
}

/**
 * @param steps that the plan has for the whole budget
 * @param costs FLOPs of a step, a stage of `plan` each
 * @param budget FLOPs by that accounting
 * @throws PlanError if the plan's last stage leaves no room for a decay of its own
 */
export function branched(
  plan: readonly StageSpec[],
  costs: readonly FlopsSoFar[],
  steps: number,
  budget: number,
  accounting: keyof FlopsSoFar,
  { at, cooldown }: Branches,
): Branched {
  const placed = placeStages(plan, steps);
  const last = placed[placed.length - 1];
  if (last.schedule !== undefined && last.schedule.decay !== "run" && last.schedule.decay !== "constant") {
    throw new PlanError(`stage ${last.name} has a decay of its own, so no branch can anneal it`);
  }
  const fixed = placed.map(({ index: _, start, end, share: __, ...spec }): StageSpec => {
    const { schedule } = spec;
    const rise = schedule && { ...schedule, warmup: stepsOf(schedule.warmup, end - start) };
    return { ...spec, steps: end - start, ...(rise === undefined ? {} : { schedule: rise }) };
  });
  const open = ({ steps: _, ...spec }: StageSpec): StageSpec => spec;
  const before = planFlops(
    fixed.slice(0, -1),
    placed.map(({ index }) => costs[index]),
    last.start,
  )[accounting];
  const branches = at.flatMap((share): Branch[] => {
    const paid = share * budget * (1 + 1e-9) - before;
    const end = share === 1 ? steps : last.start + Math.floor(paid / costs[last.index][accounting]);
    const from = end - Math.max(1, Math.round(cooldown * end));
    return from < Math.max(1, last.start) ? [] : [{ share, from, steps: end }];
  });
  const whole = branches.find(({ share }) => share === 1);
  if (whole === undefined) {
    throw new PlanError(`stage ${last.name} begins at step ${last.start + 1} of ${steps}, within the last decay`);
  }
  const begun = fixed.filter((_, i) => placed[i].start < whole.from);
  return {
    plan: fixed.map((spec, i) => (i === fixed.length - 1 ? open(spec) : spec)),
    trunk: { plan: begun.map((spec, i) => (i === begun.length - 1 ? open(spec) : spec)), steps: whole.from },
    branches,
  };
}

/** A warm-up as a number of steps: as a share it would be another one in each branch. */
export function stepsOf(warmup: number, steps: number): number {
  return warmup < 1 ? Math.round(warmup * steps) : warmup;
}
