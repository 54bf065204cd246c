/**
 * A trunk at a constant rate and branches that anneal it: what a method's loss is worth at several budgets, each decayed
 * to its own end, for little more than one run. METHOD: Hu et al., "MiniCPM" (2024); Hägele et al., "Scaling Laws and
 * Compute-Optimal Training Beyond Fixed Training Durations" (NeurIPS 2024).
 */
import { PlanError, placeStages, type Stage, type StageSpec } from "../train/plan/stage.ts";
import type { FlopsSoFar } from "../train/step/terms.ts";
import { planFlops, stepsWithin } from "./budget.ts";
import type { StudyFile } from "./schema.ts";

/** What a study's file says of them; of the shares at which a branch ends 1 is one. */
export type Branches = NonNullable<StudyFile["branches"]>;

/**
 * A plan's trunk and branches.
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
  { at, cooldown, stages }: Branches,
) {
  const whole = placeStages(plan, steps);
  const last = whole[whole.length - 1];
  if (last.schedule !== undefined && last.schedule.decay !== "run" && last.schedule.decay !== "constant") {
    throw new PlanError(`stage ${last.name} has a decay of its own, so no branch can anneal it`);
  }
  const shared = fixed(whole);
  const before = planFlops(
    shared.slice(0, -1),
    whole.map(({ index }) => costs[index]),
    last.start,
  )[accounting];
  const lengthOf = (share: number) => {
    if (share === 1) return steps;
    if (stages === "own") return stepsWithin(share * budget, plan, costs, accounting);
    const paid = share * budget * (1 + 1e-9) - before;
    return last.start + Math.floor(paid / costs[last.index][accounting]);
  };
  /** By their shares, the whole budget last. One whose decay would begin before the plan's last stage is not there. */
  const branches = at.flatMap((share) => {
    const end = lengthOf(share);
    const placed = stages === "own" ? placeStages(plan, end) : whole;
    const fall = Math.max(1, Math.round(cooldown * end));
    if (end - fall < Math.max(1, placed[placed.length - 1].start)) return [];
    // The trunk's steps are its own as far as the stages begin where the trunk's do.
    const apart = placed.find(({ start }, i) => start !== whole[i].start)?.start ?? end;
    const from = Math.min(end - fall, apart);
    if (from < 1) return [];
    // The run that ends after `steps`, of which the trunk has done the first `from`, and whose rate falls in the last
    // `cooldown`. Every stage but the last has its steps as a number.
    return [{ share, from, steps: end, cooldown: fall, plan: open(fixed(placed)) }];
  });
  if (branches.at(-1)?.share !== 1) {
    throw new PlanError(`stage ${last.name} begins at step ${last.start + 1} of ${steps}, within the last decay`);
  }
  const trunk = Math.max(...branches.map(({ from }) => from));
  const begun = shared.filter((_, i) => whole[i].start < trunk);
  return {
    /** As far as the trunk runs. */
    trunk: { plan: open(begun), steps: trunk },
    branches,
  };
}

/** Stages with their steps and warm-ups as numbers. */
function fixed(placed: readonly Stage[]): readonly StageSpec[] {
  return placed.map(({ index: _, start, end, share: __, ...spec }): StageSpec => {
    const { schedule } = spec;
    const rise = schedule && { ...schedule, warmup: stepsOf(schedule.warmup, end - start) };
    return { ...spec, steps: end - start, ...(rise === undefined ? {} : { schedule: rise }) };
  });
}

/** The last one takes what is left. */
function open(stages: readonly StageSpec[]): readonly StageSpec[] {
  return stages.map(({ steps, ...spec }, i) => (i === stages.length - 1 ? spec : { ...spec, steps }));
}

/** A warm-up as a number of steps: as a share it would be another one in each branch. */
export function stepsOf(warmup: number, steps: number): number {
  return warmup < 1 ? Math.round(warmup * steps) : warmup;
}
