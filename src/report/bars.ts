/** Savings as horizontal bars: one a method, its spread as a whisker, a published figure as a mark. */
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

/** A list whose bars are as wide as the page lets them be. */
export function bars(all: readonly Bar[]): string {
  const values = all.flatMap((bar) => [bar.value, bar.low, bar.high, bar.mark].filter((value) => value !== null));
  const low = Math.min(0, ...values);
  const high = Math.max(0.1, ...values);
  const wide = (share: number) => `${((100 * share) / (high - low)).toFixed(2)}%`;
  const at = (value: number) => `left:${wide(value - low)}`;
  const between = (a: number, b: number) => `${at(Math.min(a, b))};width:${wide(Math.abs(b - a))}`;
  const steps = ticks(low, high, 5).values;
  const lines = steps.map((step) => `<i class="tick" style="${at(step)}"></i>`).join("");
  const items = all.map(({ name, colour, value, low, high, mark, words }) => {
    const drawn = [
      value === null
        ? `<span style="${at(0)}">${text(words)}</span>`
        : `<i class="bar" style="${between(0, value)};background:${hue(colour)}" title="${text(words)}"></i>`,
      value === null || low === null || high === null || high === low
        ? ""
        : `<i class="whisker" style="${between(low, high)}"></i>`,
      mark === null ? "" : `<i class="mark" style="${at(mark)}" title="published: ${percent(mark)}"></i>`,
    ];
    const figure = value === null ? "–" : percent(value);
    return `<li><span>${text(name)}</span><div>${lines}${drawn.join("")}</div><strong>${figure}</strong></li>`;
  });
  const labels = steps.map((step) => {
    const words = `${Math.round(step * 100)} %`.replace("-", "−");
    return `<span style="${at(step)}">${words}</span>`;
  });
  return `<ul class="bars">${items.join("")}<li class="scale" aria-hidden="true"><span></span><div>${labels.join("")}</div></li></ul>`;
}
