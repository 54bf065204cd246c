/**
 * The learning rate as a function of the step: linear warm-up to the peak, then decay, at once or in the last steps only.
 *
 * Step i (0-based) of n with w steps of warm-up has the factor (i + 1) / w while i < w, so the first step already moves
 * and the last one of the warm-up has the peak; after it, with t = (i − s) / (n − s) from the step s on at which the decay
 * begins and 0 before: `linear` 1 − t, `quadratic` (1 − t)², `cosine` (1 + cos πt) / 2, `sqrt` 1 − √t, `constant` 1.
 * s is w, or n − c with a cooldown of c steps: warm-up, stable, decay (Hu et al., "MiniCPM", 2024; its shapes: Hägele et
 * al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024). Until s nothing depends on n,
 * so runs of several lengths share a trunk. A grown model gains by a rate that falls early (Wang et al., "LEMON",
 * ICLR 2024, section 5): that is what `quadratic` is for. The step after the last would have the rate 0 (transformers'
 * get_linear_schedule_with_warmup, shifted by one step so that none is spent at rate 0).
 */
export const decays = ["linear", "quadratic", "cosine", "sqrt", "constant"] as const;
export type Decay = (typeof decays)[number];

export interface Schedule {
  /** Below 1: a share of the steps; else a number of steps. */
  readonly warmup: number;
  readonly decay: Decay;
  /** How long the decay is, at the end, counted as the warm-up; absent: all that comes after the warm-up. */
  readonly cooldown?: number;
}

/** A stage's own schedule. */
export interface StageSchedule {
  /** Below 1: a share of the stage's steps; else a number of steps. */
  readonly warmup: number;
  /** `run`: the run's decay goes on, beneath this warm-up; else a decay of its own, over the stage. */
  readonly decay: Decay | "run";
  /** Of a decay of its own. */
  readonly cooldown?: number;
}

/** What the rate asks of a stage: its steps `start` (0-based, included) to `end` (excluded), and a schedule of its own. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly schedule?: StageSchedule;
}

/** Steps that a length means: below 1 a share of `steps`. */
function stepsOf(length: number, steps: number): number {
  return Math.min(steps, length < 1 ? Math.round(length * steps) : length);
}

/** The factor on the peak rate at step `step` (0-based) of `steps`. */
export function factorAt(schedule: Schedule, step: number, steps: number): number {
  const warmup = stepsOf(schedule.warmup, steps);
  return step < warmup ? (step + 1) / warmup : decayAt(schedule, step, steps);
}

/** As factorAt, without the warm-up's rise. */
function decayAt({ warmup, decay, cooldown }: Schedule, step: number, steps: number): number {
  const rise = stepsOf(warmup, steps);
  const start = cooldown === undefined ? rise : Math.max(rise, steps - stepsOf(cooldown, steps));
  return step < start ? 1 : decayed(decay, (step - start) / (steps - start));
}

/** The rate of a step of the run. @param peak the optimizer's rate */
export function rateAt(peak: number, run: Schedule, stages: readonly Span[], stage: Span, step: number): number {
  const own = stage.schedule;
  const total = stages[stages.length - 1].end;
  if (own === undefined) return peak * factorAt(run, step, total);
  const inner = step - stage.start;
  const length = stage.end - stage.start;
  if (own.decay !== "run") return peak * factorAt({ ...own, decay: own.decay }, inner, length);
  const rise = stepsOf(own.warmup, length);
  return peak * decayAt(run, step, total) * (inner < rise ? (inner + 1) / rise : 1);
}

function decayed(decay: Decay, t: number): number {
  switch (decay) {
    case "linear":
      return 1 - t;
    case "quadratic":
      return (1 - t) ** 2;
    case "cosine":
      return (1 + Math.cos(Math.PI * t)) / 2;
    case "sqrt":
      return 1 - Math.sqrt(t);
    case "constant":
      return 1;
  }
}
