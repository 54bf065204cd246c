/** Savings at equal annealed loss: the fair measure of docs/studies.md, over pairs of seeds, and at each of the reference's budgets. */
import { annealedCrossing, pairInterval } from "./annealed.ts";
import type { EvaluationPoint } from "./data.ts";
import type { AnnealedRun, FairSaving, StudyMethodResult, StudyResults, StudyRun } from "./study-data.ts";

/** What is counted of a point of a curve. */
export type On = (point: EvaluationPoint) => number;

type Evaluated = Pick<StudyRun, "diverged" | "evaluations">;

export function ended<R extends Evaluated>(runs: readonly R[]): readonly R[] {
  return runs.filter((run) => run.diverged === undefined && run.evaluations.length > 0);
}

/** The saving at equal annealed loss, against the ends of reference runs. @param spent as for savingSpread */
export function fairSaving(
  runs: readonly AnnealedRun[],
  reference: readonly Evaluated[],
  on: On,
  spent: number | null | undefined,
): FairSaving {
  const ends = ended(reference).map((run) => run.evaluations[run.evaluations.length - 1]);
  const pairs = runs.map(({ points }) => {
    const curve = points.map((point) => ({ flops: on(point), loss: point.loss }));
    return ends.map((end) => ({ reached: annealedCrossing(curve, end.loss), whole: on(end) }));
  });
  const all = pairs.flat();
  const count = (reached: "before" | null) => all.filter((pair) => pair.reached === reached).length;
  const figure = (charged: number) => {
    const shares = pairs.map((row) =>
      row.flatMap(({ reached, whole }) => (typeof reached === "number" ? [1 - (reached + charged) / whole] : [])),
    );
    return shares.flat().length < all.length ? null : pairInterval(shares);
  };
  return {
    ...{ reuse: figure(0), allIn: spent == null ? null : figure(spent) },
    ...{ pairs: all.length, before: count("before"), never: count(null) },
  };
}

/** What a method saved at each budget at which the reference was annealed; none without branches on both sides. */
export function savingsByBudget({ methods, accounting, source }: StudyResults, method: StudyMethodResult) {
  const reference = methods.find((one) => one.reference)?.annealed ?? [];
  if (method.reference || (method.annealed ?? []).length === 0) return [];
  const spent = method.grown ? (source?.flops[accounting] ?? null) : undefined;
  const shares = reference.at(0)?.points.map(({ share }) => share) ?? [];
  return shares.map((share) => {
    const ends = reference.flatMap(({ points }) => points.filter((point) => point.share === share));
    const runs = ends.map((end) => ({ evaluations: [end] }));
    const saving = fairSaving(method.annealed, runs, ({ flops }) => flops[accounting], spent);
    return { share, tokens: ends[0].tokens, saving };
  });
}
