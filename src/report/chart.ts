/**
 * A line chart as inline SVG: curves named where they end, round ticks, few lines. Drawn once wide and once narrow (a
 * scaled-down picture would have unreadable text); the page's style shows the one that fits.
 */
import { tickLabels, ticks } from "./format.ts";
import { hue, isRepeated, PICTURE_STYLE, text } from "./html.ts";

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly name: string;
  /** Index of the colour and of the marker: 0 is the reference's; past the last colour they begin again, dashed. */
  readonly colour: number;
  readonly points: readonly Point[];
  /** What a point says when pointed at; as many as points. */
  readonly hints?: readonly string[];
  /** Whether the points are marked (default) or only the line is drawn. */
  readonly marked?: boolean;
  /** A finer, noisier curve behind: the training loss. */
  readonly faint?: readonly Point[];
  /** Where a stage begins. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
}

export interface ChartSpec {
  /** Unique on the page; letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly series: readonly Series[];
  /** A level that curves are measured against. */
  readonly level?: { readonly y: number; readonly label: string };
  /** The distance on that level from where a curve meets it to the reference's end. */
  readonly bracket?: { readonly from: number; readonly to: number; readonly label: string; readonly colour: number };
  /** Low and high of the vertical axis. */
  readonly y: readonly [number, number];
  /** One of several small pictures side by side: drawn once. */
  readonly small?: boolean;
  /** Name the curves at their ends (default: where there are several). */
  readonly labels?: boolean;
}

type Size = "wide" | "narrow" | "small";

const FONT = 13;
/** A little more than the mean width of a character, so that estimates err on the safe side. */
const CHARACTER = 7.1;
const BOLD = 8;

/** Both drawings of a chart, of which the page shows one; a single one if it is small. */
export function chart(spec: ChartSpec): string {
  if (spec.small === true) return draw(spec, "small");
  return `<div class="wide">${draw(spec, "wide")}</div><div class="narrow">${draw(spec, "narrow")}</div>`;
}

/** The wide drawing as a file of its own, with the page's colours and letters: for a README. */
export function picture(spec: ChartSpec): string {
  return draw(spec, "wide")
    .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    .replace(/<title/, `<style>${PICTURE_STYLE}</style><title`);
}

/**
 * A vertical range for loss curves that shows where they differ: random weights' first values may lie far above all
 * that follows, so the axis ends a little above the highest loss after a quarter of the way.
 */
export function lossRange(curves: readonly (readonly Point[])[], floor = Number.POSITIVE_INFINITY): [number, number] {
  const all = curves.flat();
  if (all.length === 0) return [0, 1];
  const end = all.reduce((most, [x]) => Math.max(most, x), 0);
  const low = all.reduce((least, [, y]) => Math.min(least, y), floor);
  const early = curves.flatMap((curve) => {
    const later = curve.filter(([x]) => x >= end / 4);
    return later.length > 0 ? [later[0][1]] : [];
  });
  const high = Math.min(
    all.reduce((most, [, y]) => Math.max(most, y), low),
    low + (Math.max(...early, low) - low) * 1.1,
  );
  const span = high - low > 0 ? high - low : Math.max(Math.abs(low) * 0.1, 1e-3);
  return [Math.max(0, low - span * 0.06), high + span * 0.02];
}

function draw(spec: ChartSpec, size: Size): string {
  const wide = size === "wide";
  const named = wide && (spec.labels ?? spec.series.length > 1);
  const width = { wide: 976, narrow: 388, small: 460 }[size];
  const height = { wide: 440, narrow: 340, small: 200 }[size];
  const longest = Math.max(0, ...spec.series.map((series) => series.name.length));
  const left = 52;
  const right = named ? Math.min(250, longest * BOLD + 18) : 12;
  const top = 30;
  const bottom = 46;
  const xEnd = spec.series
    .flatMap((series) => [...series.points, ...(series.faint ?? [])])
    .reduce((end, [value]) => Math.max(end, value), spec.bracket?.to ?? 0);
  const [yLow, yHigh] = spec.y;
  const x = (value: number) => left + (xEnd > 0 ? value / xEnd : 0) * (width - left - right);
  const y = (value: number) => top + ((yHigh - value) / (yHigh - yLow)) * (height - top - bottom);
  const xTicks = ticks(0, xEnd, wide ? 7 : 4);
  const yTicks = ticks(yLow, yHigh, { wide: 7, narrow: 6, small: 4 }[size]);
  const xLabels = tickLabels(xTicks.values, xTicks.step, xEnd);
  const yLabels = tickLabels(yTicks.values, yTicks.step, Math.abs(yHigh));
  const floor = height - bottom;
  const id = `${spec.id}-${size}`;
  const parts: string[] = [];

  for (const [i, value] of yTicks.values.entries()) {
    parts.push(
      `<line x1="${left}" x2="${n(width - right)}" y1="${n(y(value))}" y2="${n(y(value))}" stroke="var(--faint)"/>`,
      label(left - 8, y(value) + 4.5, yLabels.labels[i], "end", "soft"),
    );
  }
  parts.push(`<line x1="${left}" x2="${n(width - right)}" y1="${floor}" y2="${floor}" stroke="var(--line)"/>`);
  for (const [i, value] of xTicks.values.entries()) {
    parts.push(
      `<line x1="${n(x(value))}" x2="${n(x(value))}" y1="${floor}" y2="${floor + 5}" stroke="var(--line)"/>`,
      label(x(value), floor + 20, xLabels.labels[i], "middle", "soft"),
    );
  }
  const xTitle = xLabels.unit === "" ? spec.xTitle : `${spec.xTitle} (× ${xLabels.unit})`;
  parts.push(
    label(left, 14, yLabels.unit === "" ? spec.yTitle : `${spec.yTitle} (× ${yLabels.unit})`.trim(), "start", "soft"),
  );
  parts.push(label(width - right, height - 6, xTitle, "end", "soft"));

  if (spec.level !== undefined) {
    parts.push(
      `<line x1="${left}" x2="${n(width - right)}" y1="${n(y(spec.level.y))}" y2="${n(y(spec.level.y))}" stroke="var(--soft)" stroke-dasharray="2 4"/>`,
    );
  }
  const lines: string[] = [];
  for (const series of spec.series) {
    const colour = hue(series.colour);
    for (const mark of series.marks ?? []) {
      parts.push(
        `<line x1="${n(x(mark.x))}" x2="${n(x(mark.x))}" y1="${top}" y2="${floor}" stroke="${colour}" stroke-opacity=".55" stroke-dasharray="1 4" stroke-width="1.5"/>`,
      );
    }
    if (series.faint !== undefined) {
      lines.push(
        `<polyline points="${path(series.faint, x, y)}" fill="none" stroke="${colour}" stroke-opacity=".45" stroke-width="1"/>`,
      );
    }
    lines.push(
      `<polyline points="${path(series.points, x, y)}" fill="none" stroke="${colour}" stroke-width="2.25"${isRepeated(series.colour) ? ' stroke-dasharray="7 5"' : ""} stroke-linejoin="round" stroke-linecap="round"/>`,
    );
    if (series.marked === false) continue;
    const every = Math.max(1, Math.ceil(series.points.length / (wide ? 30 : 14)));
    for (const [i, [px, py]] of series.points.entries()) {
      if (i % every !== 0 && i !== series.points.length - 1) continue;
      lines.push(marker(series.colour, x(px), y(py), series.hints?.[i]));
    }
  }
  // What lies above the axis is cut, not squeezed in.
  parts.push(
    `<clipPath id="${id}-c"><rect x="${left - 6}" y="${top - 4}" width="${n(width - right - left + 12)}" height="${n(floor - top + 8)}"/></clipPath>`,
    `<g clip-path="url(#${id}-c)">${lines.join("")}</g>`,
  );

  let row = 0;
  for (const series of spec.series) {
    for (const mark of series.marks ?? []) {
      const near = x(mark.x) + mark.label.length * CHARACTER > width - right;
      parts.push(
        label(x(mark.x) + (near ? -6 : 6), top + 10 + row * 17, mark.label, near ? "end" : "start", "soft halo"),
      );
      row++;
    }
  }
  if (spec.bracket !== undefined && spec.level !== undefined) {
    const at = n(y(spec.level.y));
    const from = x(spec.bracket.from);
    const to = x(spec.bracket.to);
    const colour = hue(spec.bracket.colour);
    parts.push(
      `<path d="M${n(from)} ${n(y(spec.level.y) - 6)}v12M${n(from)} ${at}H${n(to)}M${n(to)} ${n(y(spec.level.y) - 6)}v12" fill="none" stroke="${colour}" stroke-width="2"/>`,
    );
    const fits = spec.bracket.label.length * BOLD < to - from;
    parts.push(
      label(
        fits ? (from + to) / 2 : to,
        y(spec.level.y) - 9,
        spec.bracket.label,
        fits ? "middle" : "end",
        "halo",
        ` font-weight="600" style="fill:${colour}"`,
      ),
    );
  }
  if (spec.level !== undefined) {
    parts.push(label(left + 6, y(spec.level.y) + 16, spec.level.label, "start", "soft halo"));
  }
  if (named) parts.push(endLabels(spec.series, x, y, top, floor));

  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-t ${id}-d"><title id="${id}-t">${text(spec.title)}</title><desc id="${id}-d">${text(spec.description)}</desc>${parts.join("")}</svg>`;
}

/** Each curve's name at its end, moved apart where ends lie close. */
function endLabels(
  all: readonly Series[],
  x: (value: number) => number,
  y: (value: number) => number,
  top: number,
  floor: number,
): string {
  const gap = FONT + 5;
  const ends = all
    .filter((series) => series.points.length > 0)
    .map((series) => {
      const [px, py] = series.points[series.points.length - 1];
      return { series, x: x(px), y: Math.min(Math.max(y(py), top), floor) };
    })
    .sort((a, b) => a.y - b.y);
  for (let i = 1; i < ends.length; i++) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + gap);
  // Pushed down past the axis: push back up from the lowest.
  for (let i = ends.length - 1, limit = floor; i >= 0; i--, limit = ends[i + 1].y - gap) {
    ends[i].y = Math.min(ends[i].y, limit);
  }
  return ends
    .map((end) =>
      label(
        end.x + 10,
        end.y + 4.5,
        end.series.name,
        "start",
        "halo",
        ` font-weight="550" style="fill:${hue(end.series.colour)}"`,
      ),
    )
    .join("");
}

/** The names of the curves with their colour and marker, for where there is no room at their ends. */
export function legend(series: readonly Series[]): string {
  const items = series.map(
    (one) =>
      `<li><svg viewBox="0 0 26 12" aria-hidden="true"><line x1="0" x2="26" y1="6" y2="6" stroke="${hue(one.colour)}" stroke-width="2.25"${isRepeated(one.colour) ? ' stroke-dasharray="7 4"' : ""}/>${marker(one.colour, 13, 6)}</svg>${text(one.name)}</li>`,
  );
  return `<ul class="legend">${items.join("")}</ul>`;
}

/** Colour alone should not have to tell curves apart: each has its own marker. */
function marker(colour: number, x: number, y: number, hint?: string): string {
  const fill = `fill="${hue(colour)}" stroke="var(--paper)"`;
  const title = hint === undefined ? "" : `<title>${text(hint)}</title>`;
  switch (colour % 4) {
    case 0:
      return `<circle cx="${n(x)}" cy="${n(y)}" r="3.6" ${fill}>${title}</circle>`;
    case 1:
      return `<rect x="${n(x - 3.4)}" y="${n(y - 3.4)}" width="6.8" height="6.8" ${fill}>${title}</rect>`;
    case 2:
      return `<path d="M${n(x)} ${n(y - 4.6)}l4.4 7.8h-8.8z" ${fill}>${title}</path>`;
    default:
      return `<path d="M${n(x)} ${n(y - 4.8)}l4.8 4.8l-4.8 4.8l-4.8 -4.8z" ${fill}>${title}</path>`;
  }
}

function path(points: readonly Point[], x: (value: number) => number, y: (value: number) => number): string {
  return points.map(([px, py]) => `${n(x(px))},${n(y(py))}`).join(" ");
}

function label(x: number, y: number, value: string, anchor: string, classes: string, more = ""): string {
  return `<text x="${n(x)}" y="${n(y)}" text-anchor="${anchor}" class="${classes}"${more}>${text(value)}</text>`;
}

/** A coordinate with one decimal: enough for a screen, and files stay small. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
