/** Loss curves against FLOPs, tokens or time: one figure an axis, switched by radio buttons without a script. */
import { type ChartSpec, chart, legend, lossRange, type Series } from "./chart.ts";
import { type Axis, lossSeries, measures } from "./curves.ts";
import type { Curve } from "./data.ts";
import { lossText } from "./format.ts";
import { text } from "./html.ts";

export interface LossFigures {
  /** Unique on the page. */
  readonly id: string;
  readonly title: string;
  readonly curves: readonly Curve[];
  /** The first is shown; those that a curve was not measured along are left out. */
  readonly axes: readonly Axis[];
  /** Colour of each curve. */
  readonly colours: readonly number[];
  /** Whether the training loss is drawn behind. */
  readonly training: boolean;
  readonly note: string;
  readonly level?: ChartSpec["level"];
  /** Drawn on the first axis alone. */
  readonly bracket?: ChartSpec["bracket"];
}

export function lossFigures(figures: LossFigures): string {
  const { id, curves } = figures;
  const shown = figures.axes.filter((axis) => measures(axis, curves));
  const drawn = shown.map((axis) => {
    const { spec, above } = lossChart(figures, axis);
    const cut = above.length === 0 ? "" : ` Above the picture: ${above.join(", ")}.`;
    const names = curves.length > 1 ? legend(spec.series) : "";
    return `<figure class="${axis.key}">${names}${chart(spec)}<figcaption>${text(figures.note + cut)}</figcaption></figure>`;
  });
  if (drawn.length < 2) return drawn.join("").replace("<figure ", '<figure style="display:block" ');
  const buttons = shown.map(
    (axis, i) =>
      `<input type="radio" name="${id}-axis" id="${id}-by-${axis.key}"${i === 0 ? " checked" : ""}><label for="${id}-by-${axis.key}">${text(axis.name)}</label>`,
  );
  const rules = shown.map((axis) => `#${id}-by-${axis.key}:checked ~ .${axis.key}{display:block}`);
  return `<style>${rules.join("")}</style><fieldset class="axes"><legend>Loss against</legend>${buttons.join("")}${drawn.join("")}</fieldset>`;
}

/** The chart along one axis, and what of it lies above the picture, in words. */
export function lossChart(
  figures: LossFigures,
  axis: Axis,
): { readonly spec: ChartSpec; readonly above: readonly string[] } {
  const series = figures.curves.map((curve, j) => lossSeries(curve, figures.colours[j], axis, figures.training));
  const y = lossRange(
    series.map((one) => (one.points.length > 0 ? one.points : (one.faint ?? []))),
    figures.level?.y,
  );
  const evaluated = series.filter((one) => one.points.length > 0);
  const first = (one: Series) => lossText(one.points[0][1]);
  const ends = evaluated.map(
    (one) => `${one.name}: ${first(one)} to ${lossText(one.points[one.points.length - 1][1])}`,
  );
  const spec: ChartSpec = {
    id: `${figures.id}-${axis.key}`,
    title: `${figures.title} against ${axis.title}`,
    description: `Loss from the first to the last evaluation. ${ends.join("; ")}.`,
    xTitle: axis.title,
    yTitle: "loss (nats a token)",
    series,
    y,
    level: figures.level,
    bracket: axis === figures.axes[0] ? figures.bracket : undefined,
  };
  const above = evaluated.filter((one) => one.points[0][1] > y[1]).map((one) => `${one.name} starts at ${first(one)}`);
  return { spec, above };
}
