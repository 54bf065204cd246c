/** What a study's results are, as plain data: `study.json`, and what its page and its table are drawn from. */
import { type Interval, mean } from "./annealed.ts";
import type { Curve, EvaluationPoint, Fact, Flops, Listing } from "./data.ts";

/** A figure over several runs. */
export interface Spread {
  /** Null where one of them is missing: no figure is made of the rest. */
  readonly mean: number | null;
  /** Of those that are there; null where none is. */
  readonly low: number | null;
  readonly high: number | null;
  /** How many there should be, and how many are not there. */
  readonly count: number;
  readonly missing: number;
}

/** What a method saved along one axis: over all pairs of one of its seeds and one of the reference's. */
export interface SavingSpread {
  readonly reuse: Spread;
  /** With the source's own training charged; null for a method without a source, or a source not trained here. */
  readonly allIn: Spread | null;
  /** Where it reached the reference's final loss, on that axis. */
  readonly reached: Spread;
  /** Pairs in which it got there between evaluations too far apart to say where: they count as missing. */
  readonly coarse?: number;
}

/**
 * What a method saved at equal annealed loss: 1 − what it spends for the reference's final loss, along the curve of its
 * annealed losses, ÷ what the reference's whole run spent; over all pairs of seeds.
 */
export interface FairSaving {
  /** Null where a pair gives no figure. */
  readonly reuse: Interval | null;
  /** With the source's training charged; null as well for a method without a source. */
  readonly allIn: Interval | null;
  readonly pairs: number;
  /** Pairs in which its cheapest branch is below the reference's loss already, and in which none comes down to it. */
  readonly before: number;
  readonly never: number;
}

/** A seed's annealed losses by rising budget: the ends of its branches. */
export interface AnnealedRun {
  readonly seed: number;
  readonly points: readonly (EvaluationPoint & { readonly share: number })[];
}

export type SavingAxis = "exact" | "paper" | "time";

export interface StageCost {
  readonly name: string;
  /** Steps done when it starts. */
  readonly start: number;
  readonly steps: number;
  readonly tokens: number;
  readonly flops: Flops;
  readonly seconds: number;
  readonly joules?: number;
}

/** A growth as the loss saw it: just before and just after. */
export interface GrowthJump {
  /** Of the run; 0: growth of the source, before the run. */
  readonly step: number;
  readonly stage: string;
  readonly before: number | null;
  readonly after: number;
}

export interface StudyRun {
  readonly seed: number;
  readonly rate: number;
  /** Its cell. */
  readonly cell: string;
  readonly engine: string;
  readonly machine: string;
  readonly diverged?: string;
  readonly evaluations: readonly EvaluationPoint[];
  readonly costs: readonly StageCost[];
  readonly growths: readonly GrowthJump[];
}

export interface NetworkSize {
  readonly layers: number;
  readonly hidden: number;
  readonly parameters: number;
}

type TaskScores = Readonly<Record<string, { readonly metric: string; readonly score: Spread }>>;

export interface StudyMethodResult {
  readonly name: string;
  readonly label: string;
  readonly about: string;
  readonly reference: boolean;
  readonly grown: boolean;
  /** What it begins with: the source, or what is drawn; absent in files of before. */
  readonly begins?: NetworkSize;
  /** What the paper reports for the method at its own size; null where it does not. */
  readonly paper: number | null;
  /** Peak rates tried with the first seed, and the final losses they gave; null: not yet, or it diverged. */
  readonly trials: readonly { readonly rate: number; readonly loss: number | null; readonly diverged: boolean }[];
  /** The rate of the runs below; null while it is not chosen. */
  readonly rate: number | null;
  /** Runs with that rate that are done. */
  readonly runs: readonly StudyRun[];
  /** Seeds still to come. */
  readonly missing: readonly number[];
  readonly final: Spread;
  /** Its runs' scores in the study's tasks, by their names; absent in a study without tasks. */
  readonly tasks?: TaskScores;
  /** Those of its cheapest branches that end where the reference does, and which share of the budget those are. */
  readonly saved?: { readonly share: Spread; readonly tasks?: TaskScores };
  /** Undefined for the reference, and while one of the two has no run. */
  readonly savings: Readonly<Record<SavingAxis, SavingSpread>> | null;
  /** Of branches that are done, with that rate; none without branches. */
  readonly annealed: readonly AnnealedRun[];
  /** Null without branches, for the reference, and while one of the two has none. */
  readonly fair: Readonly<Record<SavingAxis, FairSaving>> | null;
  readonly settings: readonly Listing[];
}

export interface StudyResults {
  readonly title: string;
  readonly about: readonly string[];
  /** What its author reads in the figures. */
  readonly discussion: readonly string[];
  readonly progress: { readonly done: number; readonly all: number };
  readonly accounting: "exact" | "paper";
  readonly budget: { readonly steps: number; readonly tokens: number; readonly flops: Flops };
  /** What was compared; absent in files of before. */
  readonly setting?: {
    readonly architecture: string;
    readonly objective: string;
    readonly dropout: number;
    readonly from: NetworkSize;
    readonly to: NetworkSize;
    /** Of the run from scratch. */
    readonly tokens: number;
  };
  /** The source's own run; null where it was given, or is not done yet. */
  readonly source: {
    readonly loss: number;
    readonly flops: Flops;
    readonly seconds: number;
    readonly run: StudyRun;
  } | null;
  readonly methods: readonly StudyMethodResult[];
  readonly facts: readonly Fact[];
  /** What a reader should know before trusting the figures. */
  readonly notes: readonly string[];
  readonly settings: readonly Listing[];
}

/** Several runs at one step. */
function meanPoint(points: readonly EvaluationPoint[]): EvaluationPoint {
  const of = (value: (point: EvaluationPoint) => number) => mean(points.map(value));
  const [{ step, tokens }] = points;
  const flops = { exact: of((one) => one.flops.exact), paper: of((one) => one.flops.paper) };
  return { step, tokens, flops, seconds: of((one) => one.seconds ?? 0), loss: of((one) => one.loss) };
}

/** A method as one curve: the mean over its seeds where they were evaluated at the same steps, else the first. */
export function methodCurve(method: StudyMethodResult): Curve {
  const runs = method.runs.filter((run) => run.diverged === undefined);
  const [first] = runs;
  if (first === undefined) return { name: method.label, log: [], evaluations: [], stages: [] };
  const steps = (run: StudyRun) => run.evaluations.map(({ step }) => step).join();
  const used = runs.every((run) => steps(run) === steps(first)) ? runs : [first];
  return {
    name: method.label,
    log: [],
    evaluations: first.evaluations.map((_, i) => meanPoint(used.map((run) => run.evaluations[i]))),
    stages: first.costs.map(({ name, start }) => ({ name, start })),
  };
}

/** A method's annealed losses, each the mean over its seeds; shares that not all of them have are left out. */
export function annealedCurve({ label, annealed }: StudyMethodResult): Curve {
  const evaluations = (annealed.at(0)?.points ?? []).flatMap(({ share }) => {
    const points = annealed.flatMap((run) => run.points.filter((point) => point.share === share));
    return points.length < annealed.length ? [] : [meanPoint(points)];
  });
  return { name: label, log: [], evaluations, stages: [] };
}
