/**
 * The learning rate as a function of the step: linear warm-up to the peak, then decay.
 *
 * Step i (0-based) of n with w steps of warm-up has the factor (i + 1) / w while i < w, so the first step already moves
 * and the last one of the warm-up has the peak; after it, with t = (i − w) / (n − w): `linear` 1 − t, `quadratic`
 * (1 − t)², `cosine` (1 + cos πt) / 2, `constant` 1. A grown model gains by a rate that falls early (Wang et al., "LEMON",
 * ICLR 2024, section 5): that is what `quadratic` is for. The step after the last would have the rate 0 (transformers'
 * get_linear_schedule_with_warmup, shifted by one step so that none is spent at rate 0).
 */
export const decays = ["linear", "quadratic", "cosine", "constant"] as const;
export type Decay = (typeof decays)[number];

export interface Schedule {
  /** Below 1: a share of the steps; else a number of steps. */
  readonly warmup: number;
  readonly decay: Decay;
}

/** A stage's own schedule. */
export interface StageSchedule {
  /** Below 1: a share of the stage's steps; else a number of steps. */
  readonly warmup: number;
  /** `run`: the run's decay goes on, beneath this warm-up; else a decay of its own, over the stage. */
  readonly decay: Decay | "run";
}

/** What the rate asks of a stage: its steps `start` (0-based, included) to `end` (excluded), and a schedule of its own. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly schedule?: StageSchedule;
}

export function warmupSteps(warmup: number, steps: number): number {
  return Math.min(steps, warmup < 1 ? Math.round(warmup * steps) : warmup);
}

/** The factor on the peak rate at step `step` (0-based) of `steps`. */
export function factorAt(schedule: Schedule, step: number, steps: number): number {
  const warmup = warmupSteps(schedule.warmup, steps);
  return step < warmup ? (step + 1) / warmup : decayed(schedule.decay, (step - warmup) / (steps - warmup));
}

/** The rate of a step of the run. @param peak the optimizer's rate */
export function rateAt(peak: number, run: Schedule, stages: readonly Span[], stage: Span, step: number): number {
  const own = stage.schedule;
  const total = stages[stages.length - 1].end;
  if (own === undefined) return peak * factorAt(run, step, total);
  const inner = step - stage.start;
  const length = stage.end - stage.start;
  if (own.decay !== "run") return peak * factorAt({ warmup: own.warmup, decay: own.decay }, inner, length);
  const rise = warmupSteps(own.warmup, length);
  const decay = decayed(run.decay, runProgress(run, step, total));
  return peak * decay * (inner < rise ? (inner + 1) / rise : 1);
}

/** How far the run's decay is, its own warm-up left out. */
function runProgress(run: Schedule, step: number, total: number): number {
  const warmup = warmupSteps(run.warmup, total);
  return step < warmup ? 0 : (step - warmup) / (total - warmup);
}

function decayed(decay: Decay, t: number): number {
  switch (decay) {
    case "linear":
      return 1 - t;
    case "quadratic":
      return (1 - t) ** 2;
    case "cosine":
      return (1 + Math.cos(Math.PI * t)) / 2;
    case "constant":
      return 1;
  }
}
