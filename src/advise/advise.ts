/**
 * When growing pays: what a growth may be expected to save for a target trained on so many tokens, from measured cells
 * (grid.ts) and, where none is near, from what papers found (literature.ts). An estimate is a Gaussian process over the
 * size of the step, tokens a parameter, dropout, depth against width, the objective and the size; its interval is as wide
 * as leaving each cell out says it must be.
 */
import { growthFile } from "../checkpoint/folder.ts";
import { parseRecord } from "../growth/record.ts";
import { type Model, resizeModel } from "../model/architecture.ts";
import { supports } from "../model/objectives.ts";
import { parameterCount } from "../model/table.ts";
import type { StudyResults } from "../report/study-data.ts";
import { UserError } from "../util/errors.ts";
import type { Json } from "../util/json.ts";
import { type GridCell, readGrid } from "./grid.ts";
import { type Claim, claims, expected } from "./literature.ts";
import { distance, gaussianProcess } from "./process.ts";

/** What is asked about, and what a cell was measured at. */
export type Setting = NonNullable<StudyResults["setting"]>;

export interface Estimate {
  /** `reuse`: the source is free. `all-in`: everything is charged, as of growth inside a run. */
  readonly counts: Claim["counts"];
  /** Of those measured the one whose interval begins highest; null where none was. */
  readonly method: string | null;
  /** The same in the words of the nearest study that measured it. */
  readonly label: string | null;
  /** Share of the FLOPs from scratch, for the same loss; the interval holds nine of ten. */
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** Cells of that method. */
  readonly cells: number;
  /** What it rests on most, nearest first; `apart`: 1 says much of this case, 2 little, 3 nothing. */
  readonly nearest: readonly {
    readonly study: string;
    readonly saving: number;
    readonly apart: number;
    readonly at: string;
    /** The method's words in that study; undefined where they are its name. */
    readonly label?: string;
  }[];
  readonly verdict: "grow" | "perhaps" | "scratch" | "unknown";
  /** What papers claim that count in this way, for this architecture. */
  readonly papers: readonly Claim[];
}

/** Standard deviation of savings around what is expected where nothing is known, and of a measured one with one seed. */
const SPREAD = 0.25;
const NOISE = 0.04;
/**
 * Of plans that grow inside a run, at one place: when and by which rule they grow is no coordinate. Of those that were tried
 * on one GPT-2 some that double its layers late saved 27 to 34 %, some that grow fourfold and more ended where scratch does
 * or behind it (docs/results/gpt-8.md).
 */
const PLANS = 0.1;
/**
 * Of one study from another, where this very case was not measured: how well its rates are tuned, scratch's above all, is no coordinate either. One
 * plan on one GPT-2 saved 15 to 20 % and, with the rates of both bracketed, 8 % (docs/results/gpt-8.md, gpt-8-long.md).
 */
const STUDIES = 0.1;
/** Beyond so far from every cell an estimate is what is expected anywhere. */
const FAR = 2.5;

/**
 * Coordinates in units of how far a cell says something of another. @param alone of a method that grows inside its run: it
 * begins with what it likes, whatever source there is
 */
function placeOf({ from, to, tokens, dropout, objective }: Setting, alone: boolean): readonly number[] {
  const deeper = Math.log(to.layers / Math.max(0.5, from.layers));
  const wider = 2 * Math.log(to.hidden / from.hidden);
  return [
    alone ? 0 : Math.log2(to.parameters / from.parameters) / 0.7,
    alone || deeper + wider === 0 ? 0 : deeper / (deeper + wider) / 0.7,
    Math.log2(tokens / to.parameters) / 1.5,
    dropout / 0.2,
    objective === "clm" ? 0 : 1,
    Math.log10(to.parameters) / 1.5,
  ];
}

const expectedAt = (counts: Claim["counts"], { from, to, tokens }: Setting) =>
  expected(counts, Math.max(1, to.parameters / from.parameters), tokens / to.parameters);

function noiseOf(measure: GridCell["measure"], { low, high }: NonNullable<GridCell["reuse"]>): number {
  const own = low === null || high === null ? NOISE : Math.max(NOISE / 2, (high - low) / 3.92);
  // The crossing of an unfinished schedule is another figure, if a near one.
  return measure === "crossing" ? Math.hypot(own, 0.08) : own;
}

/** The estimates of both counts. @param cells default: those that came with the package */
export async function advise(setting: Setting, cells?: readonly GridCell[]): Promise<readonly Estimate[]> {
  const grid = cells ?? (await readGrid());
  return (["reuse", "all-in"] as const).map((counts) => estimate(setting, grid, counts));
}

/** Of the methods measured the one whose interval begins highest. */
export function estimate(...asked: Parameters<typeof estimates>): Estimate {
  return estimates(...asked).reduce((best, one) => (one.low > best.low ? one : best));
}

/** One for each method measured; where none was, what papers let one expect. */
export function estimates(setting: Setting, grid: readonly GridCell[], counts: Claim["counts"]): readonly Estimate[] {
  const measured = grid.flatMap((cell) => {
    const saving = counts === "reuse" ? cell.reuse : cell.allIn;
    return saving === null ? [] : [{ ...cell, saving, alone: cell.reuse === null }];
  });
  const methods = measured.length === 0 ? [null] : [...new Set(measured.map(({ method }) => method))];
  const fitted = methods.map((method) => {
    const cells = measured
      .filter((cell) => cell.method === method)
      .map((cell) => ({ ...cell, at: placeOf(cell, cell.alone) }));
    const data = cells.map((cell) => {
      const value = cell.saving.mean - expectedAt(counts, cell);
      return { at: cell.at, value, noise: noiseOf(cell.measure, cell.saving) };
    });
    return { method, cells, process: gaussianProcess(data, SPREAD) };
  });
  const widths = ninetieth(fitted.flatMap(({ process }) => process.misses()));
  const papers = claims.filter((claim) => claim.counts === counts && claim.architecture === setting.architecture);
  return fitted.map(({ method, cells, process }): Estimate => {
    const alone = cells.at(0)?.alone ?? false;
    const place = placeOf(setting, alone);
    const { mean: above, deviation } = process.at(place);
    const mean = expectedAt(counts, setting) + above;
    const nearest = cells
      .map((cell) => {
        const { study, saving, label } = cell;
        return { study, saving: saving.mean, apart: distance(place, cell.at), at: settingText(cell), label };
      })
      .sort((a, b) => a.apart - b.apart)
      .slice(0, 3);
    const between = nearest.at(0)?.apart === 0 ? 0 : STUDIES;
    const half = widths * Math.hypot(deviation, NOISE, between, alone ? PLANS : 0);
    const low = mean - half;
    const near = nearest.length > 0 && nearest[0].apart < FAR;
    const label = nearest.at(0)?.label ?? method;
    const verdict = mean <= 0 ? "scratch" : low > 0 ? "grow" : near ? "perhaps" : "unknown";
    const high = Math.min(1, mean + half);
    return { counts, method, label, mean, low, high, cells: cells.length, nearest, verdict, papers };
  });
}

/**
 * How many deviations hold nine of ten values, by how far each lies from what the others foretell; no less than for a normal
 * distribution, and more where there are too few to tell.
 */
function ninetieth(misses: readonly number[]): number {
  const sorted = misses.map(Math.abs).sort((a, b) => a - b);
  const found = sorted[Math.ceil(0.9 * (sorted.length + 1)) - 1];
  return Math.max(1.645, found ?? 2.5);
}

export function settingText({ from, to, tokens }: Setting): string {
  const times = (to.parameters / from.parameters).toFixed(1);
  const size = to.parameters >= 1e6 ? `${(to.parameters / 1e6).toFixed(1)} M` : `${Math.round(to.parameters / 1e3)} k`;
  return `${times} ×, ${Number((tokens / to.parameters).toPrecision(2))} tokens a parameter, ${size} parameters`;
}

/** An estimate in a sentence. */
export function adviceLine({ counts, label, mean, low, high, nearest, verdict, cells }: Estimate): string {
  const by = label === null ? "growing" : `growing (${label})`;
  const charged = counts === "reuse" ? "the source being free" : "everything charged";
  const figure = `${by} saves about ${share(mean)} of what scratch costs, ${charged} (nine times in ten ${share(low)} to ${share(high)})`;
  const [first] = nearest;
  if (first === undefined) return `${verdicts[verdict]}: ${figure}; nothing was measured, this is what papers found`;
  const basis = `${cells} cell${cells === 1 ? "" : "s"} measured, the nearest ${apartWords(first.apart)}`;
  return `${verdicts[verdict]}: ${figure}; ${basis}: ${first.study}, ${first.at}, saved ${share(first.saving)}`;
}

/** Of what scratch costs. */
export function share(saving: number): string {
  return `${Math.round(100 * saving)} %`.replace("-", "−");
}

/**
 * What is to be said of training a grown model: the estimate of a free source, since it is there. @param growth its
 * growth.json @returns undefined where it was not grown, or nothing is known of how
 */
export async function adviceOnGrown(model: Model, growth: Json | undefined, tokens: number, dropout?: number) {
  if (growth === undefined) return undefined;
  try {
    const source = resizeModel(model, parseRecord(growth, growthFile).sourceSizes, growthFile);
    const [reuse] = await advise(settingOf(source, model, tokens, dropout));
    return adviceLine(reuse);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

const verdicts: Readonly<Record<Estimate["verdict"], string>> = {
  grow: "grow",
  perhaps: "growing may pay",
  scratch: "train from scratch",
  unknown: "nothing near was measured",
};

function apartWords(apart: number): string {
  return apart < 1 ? "near" : apart < FAR ? "some way off" : "far away";
}

export function sizeOf({ dimensions: { layers, hidden }, parameters }: Model): Setting["to"] {
  return { layers, hidden, parameters: parameterCount(parameters) };
}

/** A setting of two models. @param dropout default: what the target's config says of hidden units */
export function settingOf(from: Model, to: Model, tokens: number, dropout = to.settings.dropout.hidden): Setting {
  const objective = supports(to, "clm") ? "clm" : "mlm";
  return { architecture: to.architecture.type, objective, dropout, from: sizeOf(from), to: sizeOf(to), tokens };
}
