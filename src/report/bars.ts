/** Savings as horizontal bars: one a method, its spread as a whisker, a published figure as a mark beside it. */
import { percent, ticks } from "./format.ts";
import { hue, text } from "./html.ts";

export interface Bar {
  readonly name: string;
  readonly colour: number;
  /** A share, 0.45; null: there is none, and `words` say why. */
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** Somebody else's figure for the same. */
  readonly mark: number | null;
  readonly words: string;
}

export interface BarSpec {
  /** Unique on the page; letters, digits and hyphens. */
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly bars: readonly Bar[];
}

const ROW = 34;
/** How far a figure reaches from where it begins, room before it included. */
const LABEL = 66;

/** Both drawings, of which the page shows one. */
export function bars(spec: BarSpec): string {
  return `<div class="wide">${draw(spec, true)}</div><div class="narrow">${draw(spec, false)}</div>`;
}

function draw(spec: BarSpec, wide: boolean): string {
  const width = wide ? 976 : 388;
  const longest = Math.max(...spec.bars.map((bar) => bar.name.length));
  // On a narrow page a bar's name stands above it.
  const left = wide ? Math.min(230, longest * 7.4 + 14) : 10;
  const right = wide ? 130 : 64;
  const row = wide ? ROW : ROW + 16;
  const top = 8;
  const height = top + spec.bars.length * row + 30;
  const values = spec.bars.flatMap((bar) => [bar.value, bar.low, bar.high, bar.mark].filter((value) => value !== null));
  const low = Math.min(0, ...values);
  const high = Math.max(0.1, ...values);
  const x = (value: number) => left + ((value - low) / (high - low)) * (width - left - right);
  const floor = height - 26;
  const parts: string[] = [];
  const { values: steps } = ticks(low, high, wide ? 8 : 4);
  for (const step of steps) {
    parts.push(
      `<line x1="${n(x(step))}" x2="${n(x(step))}" y1="${top}" y2="${floor}" stroke="var(${step === 0 ? "--line" : "--faint"})"/>`,
      `<text x="${n(x(step))}" y="${floor + 17}" text-anchor="middle" class="soft">${text(`${Math.round(step * 100)} %`.replace("-", "−"))}</text>`,
    );
  }
  spec.bars.forEach((bar, i) => {
    const y = top + i * row + (wide ? 0 : 16);
    const middle = y + ROW / 2;
    const name = wide
      ? `<text x="${n(left - 10)}" y="${n(middle + 4.5)}" text-anchor="end">${text(bar.name)}</text>`
      : `<text x="${left}" y="${n(y + 2)}" class="halo">${text(bar.name)}</text>`;
    parts.push(name);
    const colour = hue(bar.colour);
    if (bar.value !== null) {
      const [from, to] = [Math.min(x(0), x(bar.value)), Math.max(x(0), x(bar.value))];
      parts.push(
        `<rect x="${n(from)}" y="${n(middle - 9)}" width="${n(to - from)}" height="18" rx="2" fill="${colour}" fill-opacity=".85"><title>${text(bar.words)}</title></rect>`,
      );
    }
    if (bar.value !== null && bar.low !== null && bar.high !== null && bar.high > bar.low) {
      const [a, b] = [n(x(bar.low)), n(x(bar.high))];
      parts.push(
        `<path d="M${a} ${n(middle)}H${b}M${a} ${n(middle - 5)}v10M${b} ${n(middle - 5)}v10" stroke="var(--ink)" stroke-width="1.5" fill="none"/>`,
      );
    }
    if (bar.mark !== null) {
      const at = n(x(bar.mark));
      parts.push(
        `<path d="M${at} ${n(middle - 13)}v26" stroke="var(--ink)" stroke-width="2" stroke-dasharray="2 2"/><title>${text(`published: ${percent(bar.mark)}`)}</title>`,
      );
    }
    const ends = bar.value === null ? [null] : [bar.value, bar.high];
    const near = Math.max(x(0), ...ends.filter((value) => value !== null).map(x));
    // Beyond the mark only where it would stand in the way: a figure beside it reads as the published one.
    const end = bar.mark !== null && x(bar.mark) > near - 4 && x(bar.mark) < near + LABEL ? x(bar.mark) : near;
    const said = bar.value === null ? bar.words : percent(bar.value);
    parts.push(
      `<text x="${n(end + 8)}" y="${n(middle + 4.5)}" class="${bar.value === null ? "soft halo" : "halo"}"${bar.value === null ? "" : ' font-weight="600"'}>${text(said)}</text>`,
    );
  });
  const id = `${spec.id}-${wide ? "wide" : "narrow"}`;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-t ${id}-d"><title id="${id}-t">${text(spec.title)}</title><desc id="${id}-d">${text(spec.description)}</desc>${parts.join("")}</svg>`;
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
