/** Numbers as a person reads them: SI-like suffixes, fixed digits, times; and ticks for an axis. */

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** 10ⁿ with a superscript exponent. */
export function powerOfTen(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPT[Number(digit)]).join("");
  return `10${exponent < 0 ? "⁻" : ""}${digits}`;
}

/** 1,234,567 with three significant digits: 1.23M. */
export function compact(value: number): string {
  for (const [suffix, unit] of [
    ["T", 1e12],
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ] as const) {
    if (Math.abs(value) >= unit * 0.9995) return `${digits(value / unit)}${suffix}`;
  }
  return digits(value);
}

/** FLOPs in scientific notation: 3.42 × 10¹³. */
export function flopsText(value: number): string {
  if (value === 0) return "0";
  const exponent = Math.floor(Math.log10(Math.abs(value)) + 1e-9);
  return `${(value / 10 ** exponent).toFixed(2)} × ${powerOfTen(exponent)}`;
}

/** A share as a percentage with one decimal: 0.4523 → 45.2 %. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1).replace("-", "−")} %`;
}

export function lossText(loss: number): string {
  return loss.toFixed(3);
}

/** Seconds as 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${seconds < 10 ? digits(seconds) : whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

/** Three significant digits, trailing zeros dropped. */
function digits(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Round values (1, 2 or 5 times a power of ten apart) from low to high, about `count` of them. */
export function ticks(low: number, high: number, count: number): { values: number[]; step: number } {
  const span = high - low;
  if (!(span > 0)) return { values: [low], step: 1 };
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const values: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) values.push(i * step);
  return { values, step };
}

/** Labels for ticks of one step, all with the same decimals; large ones share a unit: {labels, unit}. */
export function tickLabels(values: readonly number[], step: number, top: number): { labels: string[]; unit: string } {
  const exponent = top > 0 ? Math.floor(Math.log10(top) + 1e-9) : 0;
  if (exponent >= 4 || exponent <= -3) {
    const shift = 10 ** exponent;
    const decimals = Math.max(0, exponent - Math.floor(Math.log10(step) + 1e-9));
    return { labels: values.map((value) => (value / shift).toFixed(decimals)), unit: powerOfTen(exponent) };
  }
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return { labels: values.map((value) => value.toFixed(decimals)), unit: "" };
}
