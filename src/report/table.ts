/** Tables from a description of their columns, for a page and for Markdown. */
import type { EvaluationPoint, Flops, Table } from "./data.ts";
import { compact, duration, flopsText, lossText, percent } from "./format.ts";

/** A heading and what stands under it for a row; false leaves the column out. */
export type Column<T> = false | readonly [heading: string, cell: (row: T, i: number) => string];

export function tableBy<T>(caption: string, rows: readonly T[], columns: readonly Column<T>[], note?: string): Table {
  const shown = columns.filter((column) => column !== false);
  return {
    caption,
    columns: shown.map(([heading]) => heading),
    rows: rows.map((row, i) => shown.map(([, cell]) => cell(row, i))),
    note,
  };
}

/** A value as text; a dash where there is none. */
export function known<T>(value: T | null | undefined, show: (value: T) => string): string {
  return value == null ? "–" : show(value);
}

/** A curve in numbers. @param accounting which FLOPs */
export function evaluationTable(caption: string, points: readonly EvaluationPoint[], accounting: keyof Flops): Table {
  const measured = (key: "seconds" | "accuracy") => points.some((point) => point[key] !== undefined);
  return tableBy(caption, points, [
    ["Step", ({ step }) => String(step)],
    ["Tokens", ({ tokens }) => compact(tokens)],
    ["FLOPs", ({ flops }) => flopsText(flops[accounting])],
    measured("seconds") && ["Training time", ({ seconds }) => known(seconds, duration)],
    ["Loss", ({ loss }) => lossText(loss)],
    ["Perplexity", ({ loss }) => compact(Math.exp(loss))],
    measured("accuracy") && ["Accuracy", ({ accuracy }) => known(accuracy, percent)],
  ]);
}

export function markdownTable({ caption, columns, rows, note }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = line(columns.map((_, i) => (i === 0 ? "---" : "---:")));
  return `## ${caption}\n\n${[line(columns), rule, ...rows.map(line)].join("\n")}${note === undefined ? "" : `\n\n${note}`}`;
}
