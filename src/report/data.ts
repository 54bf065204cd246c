/**
 * What a report is drawn from: plain data, whoever made it. A page is a pure function of it, so the same data gives the
 * same bytes.
 */

/** FLOPs so far, counted two ways. */
export interface Flops {
  /** Multiply-adds × 2 of the programs that ran, backward as run. */
  readonly exact: number;
  /** The paper's (ELECTRA's) convention. */
  readonly paper: number;
}

/** How far a run had come: after `step` optimizer steps. */
export interface Progress {
  readonly step: number;
  readonly tokens: number;
  readonly flops: Flops;
  /** Time spent training so far, evaluation and checkpoints left out; absent where it was not measured. */
  readonly seconds?: number;
}

/** One line of the training log. */
export interface LogPoint extends Progress {
  /** Training loss in nats a predicted token, the mean over the interval. */
  readonly loss: number;
  readonly rate: number;
  readonly gradientNorm: number;
  readonly tokensPerSecond?: number;
}

/** One evaluation on the validation part. */
export interface EvaluationPoint extends Progress {
  /** Nats a predicted token. */
  readonly loss: number;
  /** Share of the predicted tokens that were right, 0 … 1. */
  readonly accuracy?: number;
}

/** A stage of a plan; it lasts until the next one starts. */
export interface StageMark {
  readonly name: string;
  /** Steps done when it starts; 0 for the first. */
  readonly start: number;
}

/** One training run as a curve. */
export interface Curve {
  readonly name: string;
  readonly log: readonly LogPoint[];
  readonly evaluations: readonly EvaluationPoint[];
  readonly stages: readonly StageMark[];
}

/** A label and its value, as they stand in a list. */
export type Fact = readonly [label: string, value: string];

/** A block of text set as it is: a config, a run.yaml. */
export interface Listing {
  readonly title: string;
  readonly text: string;
}

/** What `report.html` of a run folder shows. */
export interface RunReportData {
  readonly title: string;
  /** Model, data, objective, steps, engine …: what a reader wants to know first. */
  readonly facts: readonly Fact[];
  readonly curve: Curve;
  /** run.yaml as resolved, versions, … */
  readonly listings: readonly Listing[];
}

export interface ComparedRun extends Curve {
  /** Whether it is the run that the others are measured against. */
  readonly reference?: boolean;
  /** FLOPs spent before the run: training its source; counted in the all-in saving. */
  readonly spentBefore?: Flops;
  /** One sentence on what the run is. */
  readonly about?: string;
}

/** What a comparison of runs on one budget shows. */
export interface ComparisonReportData {
  readonly title: string;
  /** Paragraphs for someone who opens the page without having seen anything else. */
  readonly lead: readonly string[];
  readonly runs: readonly ComparedRun[];
  /** Which count the horizontal axis and the savings use. */
  readonly accounting: keyof Flops;
  /** Further tables: growth's verification, models' sizes. */
  readonly tables: readonly Table[];
  readonly facts: readonly Fact[];
  readonly listings: readonly Listing[];
}

export interface Table {
  readonly caption: string;
  readonly columns: readonly string[];
  /** Cells as text; the first column names the row. */
  readonly rows: readonly (readonly string[])[];
  /** A sentence under the table. */
  readonly note?: string;
}
