/** Where a run stands, step by step: what a step adds to it, and the line of metrics that an interval of steps becomes. */

import type { Stage, SubModel } from "../plan/stage.ts";
import type { StepResult } from "../step/compiled.ts";
import { addTerms, bothCounts, type FlopsSoFar, type TermSums } from "../step/terms.ts";
import type { Position } from "./checkpoint.ts";
import type { TrainingLine } from "./metrics.ts";

/** Where a run stands that has not begun. */
export const beginning: Position = {
  step: 0,
  tokens: 0,
  flops: { exact: 0, paper: 0 },
  seconds: 0,
  metrics: 0,
  due: true,
  open: { steps: 0, loss: 0, tokens: 0, seconds: 0 },
};

/** What a step took. */
export interface StepCost {
  readonly tokens: number;
  readonly flops: FlopsSoFar;
  readonly seconds: number;
  readonly joules: number | undefined;
}

/** After a step more, its evaluation still to be done. */
export function advanced(from: Position, { loss, terms }: StepResult, cost: StepCost): Position {
  const { open, flops } = from;
  return {
    ...from,
    step: from.step + 1,
    tokens: from.tokens + cost.tokens,
    flops: bothCounts((count) => flops[count] + cost.flops[count]),
    seconds: from.seconds + cost.seconds,
    joules: cost.joules === undefined ? undefined : (from.joules ?? 0) + cost.joules,
    due: true,
    open: {
      steps: open.steps + 1,
      loss: open.loss + loss,
      terms: addTerms(open.terms, terms),
      tokens: open.tokens + cost.tokens,
      seconds: open.seconds + cost.seconds,
    },
  };
}

/**
 * The line of the interval that is open. @param sequences of a step
 */
export function trainingLine(
  { step, tokens, flops, seconds, joules, open }: Position,
  stage: Stage,
  sub: SubModel,
  last: { readonly rate: number; readonly norm: number; readonly sequences: number },
): TrainingLine {
  return {
    step,
    stage: stage.name,
    layers: sub.layers,
    trained: sub.train,
    tokens,
    flops,
    loss: open.loss / open.steps,
    ...(open.terms === undefined ? {} : { terms: meansOf(open.terms, open.steps, last.sequences) }),
    rate: last.rate,
    gradient_norm: last.norm,
    tokens_per_second: Math.round(open.tokens / open.seconds),
    seconds: Number(seconds.toFixed(3)),
    ...(joules === undefined ? {} : { joules: Number(joules.toFixed(3)) }),
  };
}

function meansOf(sums: TermSums, steps: number, sequences: number): TrainingLine["terms"] {
  return { mlm: sums.lm / steps, nsp: sums.nsp / steps, nsp_accuracy: sums.nsp_correct / (steps * sequences) };
}
