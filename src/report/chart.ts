/**
 * A line chart as inline SVG: curves named where they end, round ticks, few lines. Drawn once wide and once narrow (a
 * scaled-down picture would have unreadable text); the page's style shows the one that fits.
 */
import { tickLabels, ticks } from "./format.ts";
import { dashOf, hue, PICTURE_STYLE, text } from "./html.ts";
import { Room } from "./place.ts";

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
  return draw(spec, "wide", true);
}

/** @param alone whether it is a file of its own, with the page's colours and letters */
export function svg(
  id: string,
  width: number,
  height: number,
  title: string,
  description: string,
  parts: readonly string[],
  alone: boolean,
): string {
  const [space, style] = alone ? ['xmlns="http://www.w3.org/2000/svg" ', `<style>${PICTURE_STYLE}</style>`] : ["", ""];
  return `<svg ${space}viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-t ${id}-d">${style}<title id="${id}-t">${text(title)}</title><desc id="${id}-d">${text(description)}</desc>${parts.join("")}</svg>`;
}

/** A vertical range that shows the whole of all curves. */
export function wholeRange(curves: readonly (readonly Point[])[], floor = Number.POSITIVE_INFINITY): [number, number] {
  const values = curves.flat().map(([, y]) => y);
  if (values.length === 0) return [0, 1];
  return padded(Math.min(floor, ...values), Math.max(...values));
}

/**
 * A vertical range for loss curves that shows where they differ: random weights' first values may lie far above all
 * that follows, so the axis ends a little above the highest loss after a quarter of the way.
 */
export function closeRange(curves: readonly (readonly Point[])[], floor = Number.POSITIVE_INFINITY): [number, number] {
  const all = curves.flat();
  if (all.length === 0) return [0, 1];
  const end = Math.max(0, ...all.map(([x]) => x));
  const values = all.map(([, y]) => y);
  const low = Math.min(floor, ...values);
  const early = curves.flatMap((curve) => curve.find(([x]) => x >= end / 4)?.[1] ?? []);
  return padded(low, Math.min(Math.max(...values), low + (Math.max(low, ...early) - low) * 1.1));
}

function padded(low: number, top: number): [number, number] {
  const high = Math.max(low, top);
  const span = high - low > 0 ? high - low : Math.max(Math.abs(low) * 0.1, 1e-3);
  return [Math.max(0, low - span * 0.06), high + span * 0.02];
}

/** Width and height, and about how many ticks the axes have. */
const SIZES = {
  wide: { width: 976, height: 440, across: 7, up: 7 },
  narrow: { width: 388, height: 340, across: 4, up: 6 },
  small: { width: 460, height: 200, across: 4, up: 4 },
};

/** Where values lie in the picture, and the sides of the field that curves are drawn in. */
interface Field {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly floor: number;
}

function draw(spec: ChartSpec, size: keyof typeof SIZES, alone = false): string {
  const { series, level, bracket } = spec;
  const named = size === "wide" && (spec.labels ?? series.length > 1);
  const { width, height, across, up } = SIZES[size];
  const longest = Math.max(0, ...series.map(({ name }) => name.length));
  const [left, top, floor] = [52, 30, height - 46];
  const right = width - (named ? Math.min(250, longest * BOLD + 18) : 12);
  const xs = series.flatMap(({ points, faint = [] }) => [...points, ...faint]).map(([value]) => value);
  const xEnd = Math.max(bracket?.to ?? 0, ...xs);
  const [yLow, yHigh] = spec.y;
  const x = (value: number) => left + (xEnd > 0 ? value / xEnd : 0) * (right - left);
  const y = (value: number) => top + ((yHigh - value) / (yHigh - yLow)) * (floor - top);
  const field: Field = { x, y, left, right, top, floor };
  const id = `${spec.id}-${size}`;

  const vertical = axis(yLow, yHigh, up, spec.yTitle);
  const horizontal = axis(0, xEnd, across, spec.xTitle);
  const parts = [
    ...vertical.marks.flatMap(({ value, words }) => [
      line(left, right, y(value), y(value), 'stroke="var(--faint)"'),
      label(left - 8, y(value) + 4.5, words, "end", "soft"),
    ]),
    line(left, right, floor, floor, 'stroke="var(--line)"'),
    ...horizontal.marks.flatMap(({ value, words }) => [
      line(x(value), x(value), floor, floor + 5, 'stroke="var(--line)"'),
      label(x(value), floor + 20, words, "middle", "soft"),
    ]),
    label(left, 14, vertical.title, "start", "soft"),
    label(right, height - 6, horizontal.title, "end", "soft"),
    level === undefined ? "" : line(left, right, y(level.y), y(level.y), 'stroke="var(--soft)" stroke-dasharray="2 4"'),
    // What lies above the axis is cut, not squeezed in.
    `<clipPath id="${id}-c"><rect x="${left - 6}" y="${top - 4}" width="${n(right - left + 12)}" height="${n(floor - top + 8)}"/></clipPath>`,
    `<g clip-path="url(#${id}-c)">${series.map((one, k) => curve(one, k, field, size)).join("")}</g>`,
  ];

  const pixels = (points: readonly Point[]) => points.map(([px, py]): Point => [x(px), y(py)]);
  const room = new Room(
    series.flatMap((one) => [pixels(one.points), pixels(one.faint ?? [])]),
    floor,
  );
  /** Words at the place that meets least, each given by where they begin and their baseline. */
  const put = (words: string, places: readonly Point[], classes: string, more = "", character = CHARACTER) => {
    const length = words.length * character;
    const furthest = spec.small === true ? Number.POSITIVE_INFINITY : right - length;
    const boxes = places.map(([from, baseline]) => {
      return { x: Math.max(left, Math.min(from, furthest)), y: baseline - FONT, width: length, height: FONT + 4 };
    });
    const at = room.take(boxes);
    return label(at.x, at.y + FONT, words, "start", classes, more);
  };
  const rows = Array.from({ length: Math.floor((floor - top) / 17) }, (_, i) => top + 10 + i * 17);
  for (const [k, { marks = [] }] of series.entries()) {
    for (const { x: at, label: words } of marks) {
      if (words === "") continue;
      const sides = [x(at) + 6, x(at) - 6 - words.length * CHARACTER];
      const places = rows.flatMap((row) => sides.map((from): Point => [from, row]));
      parts.push(put(words, places, `soft halo curve k${k}`));
    }
  }
  if (level !== undefined) {
    const steps = Array.from({ length: 12 }, (_, i) => left + 6 + (i * (right - left)) / 12);
    const heights = [...[16, -6, 33, -23].map((off) => y(level.y) + off), ...rows];
    const places = heights.flatMap((baseline) => steps.map((from): Point => [from, baseline]));
    parts.push(put(level.label, places, "soft halo"));
  }
  if (bracket !== undefined && level !== undefined) {
    const { label: words, colour } = bracket;
    const [from, to, at] = [x(bracket.from), x(bracket.to), y(level.y)];
    const middle = (from + to - words.length * BOLD) / 2;
    const places = [-9, 19, -26, 36, -43, 53].flatMap((off) =>
      [0, -60, 60, -120, 120].map((aside): Point => [middle + aside, at + off]),
    );
    const ends = `M${n(from)} ${n(at - 6)}v12M${n(from)} ${n(at)}H${n(to)}M${n(to)} ${n(at - 6)}v12`;
    parts.push(
      `<g class="curve k${series.findIndex((one) => one.colour === colour)}"><path d="${ends}" fill="none" stroke="${hue(colour)}" stroke-width="2"/>`,
      `${put(words, places, "halo", ` font-weight="600" style="fill:${hue(colour)}"`, BOLD)}</g>`,
    );
  }
  if (named) parts.push(endLabels(series, field));

  return svg(id, width, height, spec.title, spec.description, parts, alone);
}

/** Ticks with their words, and a title with the unit they share. */
function axis(low: number, high: number, count: number, title: string) {
  const { values, step } = ticks(low, high, count);
  const { labels, unit } = tickLabels(values, step, Math.abs(high));
  return {
    marks: values.map((value, i) => ({ value, words: labels[i] })),
    title: unit === "" ? title : `${title} (× ${unit})`.trim(),
  };
}

/** One curve with what belongs to it. @param k its number in the legend */
function curve({ colour, points, hints, marked, faint, marks = [] }: Series, k: number, field: Field, size: string) {
  const { x, y, top, floor } = field;
  const stroke = `stroke="${hue(colour)}"`;
  const polyline = (points: readonly Point[], style: string) =>
    `<polyline points="${points.map(([px, py]) => `${n(x(px))},${n(y(py))}`).join(" ")}" fill="none" ${stroke} ${style}/>`;
  const every = Math.max(1, Math.ceil(points.length / (size === "wide" ? 30 : 14)));
  const shown = (i: number) => marked !== false && (i % every === 0 || i === points.length - 1);
  const dotted = `${stroke} stroke-opacity=".55" stroke-dasharray="1 4" stroke-width="1.5"`;
  const drawn = [
    ...marks.map((mark) => line(x(mark.x), x(mark.x), top, floor, dotted)),
    faint === undefined ? "" : polyline(faint, 'stroke-opacity=".45" stroke-width="1"'),
    polyline(points, `stroke-width="2.25"${dashOf(colour)} stroke-linejoin="round" stroke-linecap="round"`),
    ...points.map(([px, py], i) => (shown(i) ? marker(colour, x(px), y(py), hints?.[i]) : "")),
  ];
  return `<g class="curve k${k}">${drawn.join("")}</g>`;
}

/** Each curve's name at its end, moved apart where ends lie close. */
function endLabels(all: readonly Series[], { x, y, top, floor }: Field): string {
  const gap = FONT + 5;
  const ends = all
    .flatMap(({ name, colour, points }, k) =>
      points.slice(-1).map(([px, py]) => ({ name, colour, k, x: x(px), y: Math.min(Math.max(y(py), top), floor) })),
    )
    .sort((a, b) => a.y - b.y);
  for (let i = 1; i < ends.length; i++) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + gap);
  // Pushed down past the axis: push back up from the lowest.
  for (let i = ends.length - 1, limit = floor; i >= 0; i--, limit = ends[i + 1].y - gap) {
    ends[i].y = Math.min(ends[i].y, limit);
  }
  const words = ends.map(({ name, colour, k, x, y }) => {
    const style = ` font-weight="550" style="fill:${hue(colour)}"`;
    return label(x + 10, y + 4.5, name, "start", `halo curve k${k}`, style);
  });
  return words.join("");
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
const MARKERS: readonly ((x: number, y: number) => readonly [tag: string, shape: string])[] = [
  (x, y) => ["circle", `cx="${n(x)}" cy="${n(y)}" r="3.6"`],
  (x, y) => ["rect", `x="${n(x - 3.4)}" y="${n(y - 3.4)}" width="6.8" height="6.8"`],
  (x, y) => ["path", `d="M${n(x)} ${n(y - 4.6)}l4.4 7.8h-8.8z"`],
  (x, y) => ["path", `d="M${n(x)} ${n(y - 4.8)}l4.8 4.8l-4.8 4.8l-4.8 -4.8z"`],
];

function marker(colour: number, x: number, y: number, hint?: string): string {
  const [tag, shape] = MARKERS[colour % MARKERS.length](x, y);
  const title = hint === undefined ? "" : `<title>${text(hint)}</title>`;
  return `<${tag} ${shape} fill="${hue(colour)}" stroke="var(--paper)">${title}</${tag}>`;
}

function line(x1: number, x2: number, y1: number, y2: number, style: string): string {
  return `<line x1="${n(x1)}" x2="${n(x2)}" y1="${n(y1)}" y2="${n(y2)}" ${style}/>`;
}

export function label(x: number, y: number, value: string, anchor: string, classes: string, more = ""): string {
  return `<text x="${n(x)}" y="${n(y)}" text-anchor="${anchor}" class="${classes}"${more}>${text(value)}</text>`;
}

/** A coordinate with one decimal: enough for a screen, and files stay small. */
function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
