/**
 * A line chart as inline SVG: curves named where they end, round ticks, few lines. Drawn once wide and once narrow (a
 * scaled-down picture would have unreadable text); the page's style shows the one that fits.
 */
import { tickLabels, ticks } from "./format.ts";
import { dashOf, hue, PICTURE_STYLE, text } from "./html.ts";
import { type Box, Room } from "./place.ts";

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly name: string;
  /** Index of colour, dashes and marker: 0 is the reference's; past the last colour they begin again, dashed otherwise. */
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

/** A vertical range that shows the whole of all curves. */
export function wholeRange(curves: readonly (readonly Point[])[], floor = Number.POSITIVE_INFINITY): [number, number] {
  const all = curves.flat();
  if (all.length === 0) return [0, 1];
  const low = all.reduce((least, [, y]) => Math.min(least, y), floor);
  return padded(
    low,
    all.reduce((most, [, y]) => Math.max(most, y), low),
  );
}

/**
 * A vertical range for loss curves that shows where they differ: random weights' first values may lie far above all
 * that follows, so the axis ends a little above the highest loss after a quarter of the way.
 */
export function closeRange(curves: readonly (readonly Point[])[], floor = Number.POSITIVE_INFINITY): [number, number] {
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
  return padded(low, high);
}

function padded(low: number, high: number): [number, number] {
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
  const edge = width - right;
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
  for (const [k, series] of spec.series.entries()) {
    const colour = hue(series.colour);
    const drawn: string[] = [];
    for (const mark of series.marks ?? []) {
      drawn.push(
        `<line x1="${n(x(mark.x))}" x2="${n(x(mark.x))}" y1="${top}" y2="${floor}" stroke="${colour}" stroke-opacity=".55" stroke-dasharray="1 4" stroke-width="1.5"/>`,
      );
    }
    if (series.faint !== undefined) {
      drawn.push(
        `<polyline points="${path(series.faint, x, y)}" fill="none" stroke="${colour}" stroke-opacity=".45" stroke-width="1"/>`,
      );
    }
    drawn.push(
      `<polyline points="${path(series.points, x, y)}" fill="none" stroke="${colour}" stroke-width="2.25"${dashOf(series.colour)} stroke-linejoin="round" stroke-linecap="round"/>`,
    );
    const every = Math.max(1, Math.ceil(series.points.length / (wide ? 30 : 14)));
    for (const [i, [px, py]] of series.points.entries()) {
      if (series.marked === false || (i % every !== 0 && i !== series.points.length - 1)) continue;
      drawn.push(marker(series.colour, x(px), y(py), series.hints?.[i]));
    }
    lines.push(`<g class="curve k${k}">${drawn.join("")}</g>`);
  }
  // What lies above the axis is cut, not squeezed in.
  parts.push(
    `<clipPath id="${id}-c"><rect x="${left - 6}" y="${top - 4}" width="${n(width - right - left + 12)}" height="${n(floor - top + 8)}"/></clipPath>`,
    `<g clip-path="url(#${id}-c)">${lines.join("")}</g>`,
  );

  const pixels = (points: readonly Point[]) => points.map(([px, py]): Point => [x(px), y(py)]);
  const curves = spec.series.flatMap((one) => [pixels(one.points), pixels(one.faint ?? [])]);
  const room = new Room(curves, floor);
  const box = (value: string, width: number, from: number, baseline: number): Box => {
    const wanted = Math.max(
      left,
      Math.min(from, spec.small === true ? Number.POSITIVE_INFINITY : edge - value.length * width),
    );
    return { x: wanted, y: baseline - FONT, width: value.length * width, height: FONT + 4 };
  };
  const rows = Array.from({ length: Math.floor((floor - top) / 17) }, (_, i) => top + 10 + i * 17);
  for (const [k, series] of spec.series.entries()) {
    for (const mark of series.marks ?? []) {
      if (mark.label === "") continue;
      const reach = mark.label.length * CHARACTER;
      const at = room.take(
        rows.flatMap((row) =>
          [x(mark.x) + 6, x(mark.x) - 6 - reach].map((from) => box(mark.label, CHARACTER, from, row)),
        ),
      );
      parts.push(label(at.x, at.y + FONT, mark.label, "start", `soft halo curve k${k}`));
    }
  }
  if (spec.level !== undefined) {
    const { level } = spec;
    const steps = Array.from({ length: 12 }, (_, i) => left + 6 + (i * (edge - left)) / 12);
    const place = room.take(
      [16, -6, 33, -23, ...rows.map((row) => row - y(level.y))].flatMap((off) =>
        steps.map((from) => box(level.label, CHARACTER, from, y(level.y) + off)),
      ),
    );
    parts.push(label(place.x, place.y + FONT, level.label, "start", "soft halo"));
  }
  if (spec.bracket !== undefined && spec.level !== undefined) {
    const { bracket, level } = spec;
    const at = n(y(level.y));
    const [from, to] = [x(bracket.from), x(bracket.to)];
    const colour = hue(bracket.colour);
    const k = spec.series.findIndex((one) => one.colour === bracket.colour);
    const middle = (from + to - bracket.label.length * BOLD) / 2;
    const place = room.take(
      [-9, 19, -26, 36, -43, 53].flatMap((off) =>
        [0, -60, 60, -120, 120].map((aside) => box(bracket.label, BOLD, middle + aside, y(level.y) + off)),
      ),
    );
    parts.push(
      `<g class="curve k${k}"><path d="M${n(from)} ${n(y(level.y) - 6)}v12M${n(from)} ${at}H${n(to)}M${n(to)} ${n(y(level.y) - 6)}v12" fill="none" stroke="${colour}" stroke-width="2"/>`,
      `${label(place.x, place.y + FONT, bracket.label, "start", "halo", ` font-weight="600" style="fill:${colour}"`)}</g>`,
    );
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
      const k = all.indexOf(series);
      const [px, py] = series.points[series.points.length - 1];
      return { series, k, x: x(px), y: Math.min(Math.max(y(py), top), floor) };
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
        `halo curve k${end.k}`,
        ` font-weight="550" style="fill:${hue(end.series.colour)}"`,
      ),
    )
    .join("");
}

/** The names of the curves with colour, dashes and marker: pointed at, one stands out; a click takes it away. @param id of the figures */
export function legend(id: string, series: readonly Series[]): string {
  const items = series.map(
    (one, k) =>
      `<li><label class="n${k}"><input type="checkbox" id="${id}-n${k}" checked><svg viewBox="0 0 34 12" aria-hidden="true"><line x1="0" x2="34" y1="6" y2="6" stroke="${hue(one.colour)}" stroke-width="2.25"${dashOf(one.colour)}/>${marker(one.colour, 17, 6)}</svg><span>${text(one.name)}</span></label></li>`,
  );
  return `<ul class="legend">${items.join("")}</ul>`;
}

/** What a legend does to the charts beside it, in the element of that id. */
export function legendRules(id: string, series: readonly Series[]): string {
  return series
    .map(
      (_, k) =>
        `#${id}:has(#${id}-n${k}:not(:checked)) .k${k}{display:none}#${id}:has(.n${k}:hover) .curve:not(.k${k}),#${id} svg:has(.k${k}:hover) .curve:not(.k${k}){opacity:.15}`,
    )
    .join("");
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
