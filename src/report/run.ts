/** `report.html` of a run folder: one run's losses, rate and gradient norm, its stages, its settings. */
import { chart, type Point } from "./chart.ts";
import { axes, thinned } from "./curves.ts";
import type { Curve, EvaluationPoint, LogPoint, RunReportData, Table } from "./data.ts";
import { lossFigures } from "./figures.ts";
import { compact, duration, flopsText, lossText, percent } from "./format.ts";
import { factList, listings, page, tableOf, text } from "./html.ts";

/** The whole page, as HTML. A run without a single evaluation or log line is shown for what it is. */
export function renderRunReport(data: RunReportData): string {
  const { curve } = data;
  const last = curve.evaluations.at(-1);
  const lead =
    last === undefined
      ? "Nothing has been evaluated yet."
      : `After ${compact(last.step)} steps and ${compact(last.tokens)} tokens the validation loss is ${lossText(last.loss)} (perplexity ${compact(Math.exp(last.loss))}).`;
  const body = [
    `<h1>${text(data.title)}</h1>`,
    `<p>${text(lead)}</p>`,
    factList(data.facts),
    "<h2>Loss</h2>",
    lossFigures({
      id: "loss",
      title: `Loss of ${curve.name}`,
      curves: [curve],
      axes: axes("exact"),
      colours: [1],
      training: true,
      note: "The bold line is the validation loss, the thin one the training loss.",
    }),
    smallCharts(curve),
    evaluationTable(curve.evaluations),
    data.listings.length > 0 ? "<h2>Settings</h2>" : "",
    listings(data.listings),
  ];
  return page(data.title, body.join("\n"));
}

/** Rate and gradient norm along the steps. */
function smallCharts(curve: Curve): string {
  if (curve.log.length < 2) return "";
  const small = (id: string, title: string, value: (point: LogPoint) => number) => {
    const points = thinned(curve.log.map((point): Point => [point.step, value(point)]));
    const high = points.reduce((most, [, y]) => Math.max(most, y), 0);
    const drawn = chart({
      id,
      title,
      description: `${title} along the steps, at most ${high.toPrecision(3)}.`,
      xTitle: "step",
      yTitle: "",
      series: [
        {
          name: title,
          colour: 1,
          points,
          marked: false,
          marks: curve.stages.slice(1).map((stage) => ({ x: stage.start, label: "" })),
        },
      ],
      y: [0, high > 0 ? high * 1.05 : 1],
      small: true,
    });
    return `<section><h3>${text(title)}</h3>${drawn}</section>`;
  };
  const rate = small("rate", "Learning rate", (point) => point.rate);
  const norm = small("norm", "Gradient norm before clipping", (point) => point.gradientNorm);
  return `<div class="small">${rate}${norm}</div>`;
}

function evaluationTable(evaluations: readonly EvaluationPoint[]): string {
  if (evaluations.length === 0) return "";
  const accuracy = evaluations.some((evaluation) => evaluation.accuracy !== undefined);
  const timed = evaluations.some((evaluation) => evaluation.seconds !== undefined);
  const table: Table = {
    caption: "Evaluations on the validation part",
    columns: [
      "Step",
      "Tokens",
      "FLOPs",
      ...(timed ? ["Training time"] : []),
      "Loss",
      "Perplexity",
      ...(accuracy ? ["Accuracy"] : []),
    ],
    rows: evaluations.map((evaluation) => [
      String(evaluation.step),
      compact(evaluation.tokens),
      flopsText(evaluation.flops.exact),
      ...(timed ? [evaluation.seconds === undefined ? "" : duration(evaluation.seconds)] : []),
      lossText(evaluation.loss),
      compact(Math.exp(evaluation.loss)),
      ...(accuracy ? [evaluation.accuracy === undefined ? "" : percent(evaluation.accuracy)] : []),
    ]),
  };
  return `<details><summary>All evaluations as a table</summary>${tableOf(table)}</details>`;
}
