/** `report.html` of a run folder: one run's losses, rate and gradient norm, its stages, its settings. */
import type { RunReportData } from "./data.ts";
import { compact, lossText } from "./format.ts";
import { details, factList, listings, page, paragraphs, tableOf, text } from "./html.ts";
import { evaluationTable } from "./table.ts";
import { runPictures } from "./watch.ts";

/** The whole page, as HTML. A run without a single evaluation or log line is shown for what it is. */
export function renderRunReport(data: RunReportData): string {
  const { title, curve } = data;
  const points = curve.evaluations;
  const last = points.at(-1);
  const lead =
    last === undefined
      ? "Nothing has been evaluated yet."
      : `After ${compact(last.step)} steps and ${compact(last.tokens)} tokens the validation loss is ${lossText(last.loss)} (perplexity ${compact(Math.exp(last.loss))}).`;
  const table = evaluationTable("Evaluations on the validation part", points, "exact");
  const body = [
    `<h1>${text(title)}</h1>`,
    paragraphs([lead]),
    factList(data.facts),
    runPictures([{ ...curve, symmetry: [] }]),
    points.length === 0 ? "" : details("All evaluations as a table", tableOf(table)),
    data.listings.length > 0 ? "<h2>Settings</h2>" : "",
    listings(data.listings),
  ];
  return page(title, body.join("\n"));
}
