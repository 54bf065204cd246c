/** Loss curves against FLOPs, tokens or time: one figure an axis and a view, switched without a script. */
import { type ChartSpec, chart, closeRange, legend, legendRules, type Series, wholeRange } from "./chart.ts";
import { type Axis, axes, lossSeries, measures } from "./curves.ts";
import type { Curve, Flops } from "./data.ts";
import { lossText, percent } from "./format.ts";
import { text } from "./html.ts";

export interface LossFigures {
  /** Unique on the page. */
  readonly id: string;
  readonly title: string;
  readonly curves: readonly Curve[];
  /** Which FLOPs the first axis shows. Axes that a curve was not measured along are left out. */
  readonly accounting: keyof Flops;
  /** Colour of each curve. */
  readonly colours: readonly number[];
  /** Whether the training loss is drawn behind. */
  readonly training: boolean;
  readonly note: string;
  readonly level?: ChartSpec["level"];
  /** Drawn on the first axis alone. */
  readonly bracket?: ChartSpec["bracket"];
}

/** Two views of the same curves: all of them from their first value on, and where they differ. */
const views = [
  { key: "whole", name: "Whole curves", range: wholeRange },
  { key: "close", name: "Close up", range: closeRange },
] as const;
type View = (typeof views)[number];

export function lossFigures(figures: LossFigures): string {
  const { id, curves } = figures;
  const measured = axes(figures.accounting).filter((axis) => measures(axis, curves));
  const shown = views.filter((view) => view.key === "whole" || cuts(figures));
  const drawn = measured.flatMap((axis) =>
    shown.map((view) => {
      const { spec, above } = lossChart(figures, axis, view);
      const cut = above.length === 0 ? "" : ` Above the picture: ${above.join(", ")}.`;
      const first = axis === measured[0] && view === shown[0] ? " first" : "";
      return `<figure class="${axis.key} ${view.key}${first}">${chart(spec)}<figcaption>${text(figures.note + cut)}</figcaption></figure>`;
    }),
  );
  const { series } = lossChart(figures).spec;
  const choices = [
    choice(id, "by", "Loss against", measured),
    choice(id, "view", "View", shown),
    curves.length > 1 ? legend(id, series) : "",
  ];
  const rules = measured.flatMap((axis) =>
    shown.map(
      (view) =>
        `#${id}${chosen(id, "by", axis, measured)}${chosen(id, "view", view, shown)} .${axis.key}.${view.key}{display:block}`,
    ),
  );
  const style = `${rules.join("")}${curves.length > 1 ? legendRules(id, series) : ""}`;
  return `<style>${style}</style><div class="axes" id="${id}">${choices.join("")}${drawn.join("")}</div>`;
}

/** A curve that is measured against a reference's. */
export interface Compared {
  readonly curve: Curve;
  readonly reference?: boolean;
  /** FLOPs at which it reached the reference's final loss, and the share that saved. */
  readonly saved?: { readonly reached: number | null; readonly reuse: number | null } | null;
}

/** Colours in the order of the chart, so that neighbours differ; the reference has the first. */
export function coloursOf(compared: readonly { readonly reference?: boolean }[]): readonly number[] {
  let next = 1;
  return compared.map(({ reference }) => (reference ? 0 : next++));
}

/**
 * Curves with the reference's end as a level, and a bracket on it for the one that saved most: one picture, one statement.
 * @param target the reference's final loss
 */
export function comparedLosses(
  id: string,
  title: string,
  compared: readonly Compared[],
  accounting: keyof Flops,
  target: number | null | undefined,
  note: string,
): LossFigures {
  const colours = coloursOf(compared);
  const shown = compared
    .map((one, i) => ({ ...one, colour: colours[i] }))
    .filter(({ curve }) => curve.evaluations.length > 0);
  const reference = shown.find((one) => one.reference)?.curve;
  const end = reference?.evaluations.at(-1)?.flops[accounting];
  const saved = ({ saved }: Compared) => (saved?.reached == null ? 0 : (saved.reuse ?? 0));
  const best = shown.reduce((most, one) => (saved(one) > saved(most) ? one : most), shown[0]);
  return {
    ...{ id, title, note, accounting, training: false },
    curves: shown.map(({ curve }) => curve),
    colours: shown.map(({ colour }) => colour),
    level:
      reference === undefined || target == null
        ? undefined
        : { y: target, label: `${reference.name} ends at ${lossText(target)}` },
    bracket:
      best?.saved?.reached == null || end === undefined || saved(best) <= 0
        ? undefined
        : { from: best.saved.reached, to: end, label: `${percent(saved(best))} saved`, colour: best.colour },
  };
}

/** How to read such curves. */
export function lossNote(accounting: keyof Flops): string {
  const counted = {
    exact: "from the programs that ran",
    paper: "by the paper's convention, backward as much as forward",
  };
  return `Lower is better, further left is cheaper. FLOPs are counted ${counted[accounting]}, a multiply-add as two.`;
}

interface Choice {
  readonly key: string;
  readonly name: string;
}

/** Radio buttons, where there is something to choose. */
function choice(id: string, group: string, title: string, among: readonly Choice[]): string {
  if (among.length < 2) return "";
  const buttons = among.map(
    ({ key, name }, i) =>
      `<input type="radio" name="${id}-${group}" id="${id}-${group}-${key}"${i === 0 ? " checked" : ""}><label for="${id}-${group}-${key}">${text(name)}</label>`,
  );
  return `<div class="choice"><span>${text(title)}</span>${buttons.join("")}</div>`;
}

function chosen(id: string, group: string, { key }: Choice, among: readonly Choice[]): string {
  return among.length < 2 ? "" : `:has(#${id}-${group}-${key}:checked)`;
}

/** Whether a closer view leaves out enough to be worth one. */
function cuts(figures: LossFigures): boolean {
  const [whole, close] = views.map((view) => lossChart(figures, undefined, view).spec.y);
  return close[1] - close[0] < 0.8 * (whole[1] - whole[0]);
}

/** The chart along one axis, FLOPs by default, and what of it lies above the picture, in words. */
export function lossChart(figures: LossFigures, axis: Axis = axes(figures.accounting)[0], view: View = views[0]) {
  const series = figures.curves.map((curve, j) => lossSeries(curve, figures.colours[j], axis, figures.training));
  // The finer curve behind has its own extremes: the whole shows those too.
  const shown = ({ points, faint = [] }: Series) => (view.key === "whole" ? [...points, ...faint] : points);
  const y = view.range(
    series.map((one) => (one.points.length > 0 ? shown(one) : (one.faint ?? []))),
    figures.level?.y,
  );
  const evaluated = series.filter((one) => one.points.length > 0);
  const first = (one: Series) => lossText(one.points[0][1]);
  const ends = evaluated.map(
    (one) => `${one.name}: ${first(one)} to ${lossText(one.points[one.points.length - 1][1])}`,
  );
  const spec: ChartSpec = {
    id: `${figures.id}-${axis.key}-${view.key}`,
    title: `${figures.title} against ${axis.title}`,
    description: `Loss from the first to the last evaluation. ${ends.join("; ")}.`,
    xTitle: axis.title,
    yTitle: "loss (nats a token)",
    series,
    y,
    level: figures.level,
    bracket: axis.key === "flops" ? figures.bracket : undefined,
  };
  const above = evaluated.filter((one) => one.points[0][1] > y[1]).map((one) => `${one.name} starts at ${first(one)}`);
  return { spec, above };
}
