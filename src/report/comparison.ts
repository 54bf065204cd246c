/**
 * The page that compares runs on one budget: their loss curves, what each saved against the reference run, and the
 * numbers behind both. METHOD: Chen et al., bert2BERT (ACL 2022), section 4 and figure 1.
 */

import { picture } from "./chart.ts";
import { axes } from "./curves.ts";
import type { ComparedRun, ComparisonReportData, Table } from "./data.ts";
import { type LossFigures, lossChart, lossFigures } from "./figures.ts";
import { duration, flopsText, lossText, percent } from "./format.ts";
import { factList, hue, listings, page, tableOf, text } from "./html.ts";
import { lossPoints, type Saving, saving } from "./saving.ts";
import { TOO_FAR } from "./study-tables.ts";

/** A run's saving against the reference; null for the reference itself and where one of the two was never evaluated. */
export function savingsOf(data: ComparisonReportData): readonly (Saving | null)[] {
  const reference = data.runs.find((run) => run.reference === true);
  return data.runs.map((run) => {
    if (reference === undefined || run === reference) return null;
    if (run.evaluations.length === 0 || reference.evaluations.length === 0) return null;
    return saving(
      lossPoints(run.evaluations, data.accounting),
      lossPoints(reference.evaluations, data.accounting),
      run.spentBefore?.[data.accounting] ?? 0,
    );
  });
}

export function renderComparisonReport(data: ComparisonReportData): string {
  const savings = savingsOf(data);
  const figures = figuresOf(data, savings);
  const body = [
    `<h1>${text(data.title)}</h1>`,
    ...data.lead.map((paragraph) => `<p>${text(paragraph)}</p>`),
    savingCards(data, savings, figures.colours),
    "<h2>Validation loss</h2>",
    lossFigures(figures),
    tableOf(resultTable(data, savings)),
    ...data.tables.map(tableOf),
    factList(data.facts),
    data.listings.length > 0 ? "<h2>Settings</h2>" : "",
    listings(data.listings),
    evaluationTables(data),
  ];
  return page(data.title, body.join("\n"));
}

/** Loss against FLOPs as an SVG file of its own. */
export function comparisonPicture(data: ComparisonReportData): string {
  const figures = figuresOf(data, savingsOf(data));
  return picture(lossChart(figures, figures.axes[0]).spec);
}

function figuresOf(data: ComparisonReportData, savings: readonly (Saving | null)[]): LossFigures {
  const reference = data.runs.find((run) => run.reference === true);
  let next = 0;
  const colours = data.runs.map((run) => (run === reference ? 0 : ++next));
  // The bracket is drawn for the run that saved most: one picture, one statement.
  let best = -1;
  for (const [i, one] of savings.entries()) {
    if (one?.reuse != null && (best < 0 || one.reuse > (savings[best]?.reuse ?? Number.NEGATIVE_INFINITY))) best = i;
  }
  const top = best >= 0 ? savings[best] : null;
  const target = reference?.evaluations.at(-1)?.loss;
  const counted =
    data.accounting === "exact"
      ? "FLOPs are counted from the programs that ran, a multiply-add as two."
      : "FLOPs are counted by the paper's convention, a multiply-add as two, backward as much as forward.";
  return {
    id: "loss",
    title: "Validation loss",
    curves: data.runs,
    axes: axes(data.accounting),
    colours,
    training: false,
    note: `Lower is better, further left is cheaper. ${counted}`,
    level:
      reference === undefined || target === undefined
        ? undefined
        : { y: target, label: `${reference.name} ends at ${lossText(target)}` },
    bracket:
      top?.reached != null && top.reuse !== null && top.reuse > 0
        ? { from: top.reached, to: top.reference, label: `${percent(top.reuse)} saved`, colour: colours[best] }
        : undefined,
  };
}

function savingCards(data: ComparisonReportData, savings: readonly (Saving | null)[], colours: readonly number[]) {
  const items = data.runs.flatMap((run, i) => {
    const one = savings[i];
    if (one === null) return [];
    const style = ` style="--c:${hue(colours[i])}"`;
    if (one.reached === null || one.reuse === null) {
      const [what, why] = one.coarse
        ? [
            "no figure",
            `${run.name} reached a loss of ${lossText(one.target)} between evaluations too far apart to say where`,
          ]
        : ["no saving", `${run.name} did not reach a loss of ${lossText(one.target)} in this budget`];
      return [`<li${style}><strong>${what}</strong><span>${text(why)}</span></li>`];
    }
    const amount = one.reuse >= 0 ? `${percent(one.reuse)} fewer FLOPs` : `${percent(-one.reuse)} more FLOPs`;
    const allIn =
      one.allIn === null || run.spentBefore === undefined
        ? ""
        : `<span>${text(`${percent(one.allIn)} with the source's own training charged`)}</span>`;
    return [
      `<li${style}><strong>${text(amount)}</strong><span>${text(`${run.name}, to the loss the reference ends at`)}</span>${allIn}</li>`,
    ];
  });
  return items.length === 0 ? "" : `<ul class="savings">${items.join("")}</ul>`;
}

function resultTable(data: ComparisonReportData, savings: readonly (Saving | null)[]): Table {
  const timed = data.runs.every((run) => run.evaluations.at(-1)?.seconds !== undefined);
  const charged = data.runs.some((run) => run.spentBefore !== undefined);
  const share = (value: number | null | undefined) => (value == null ? "–" : percent(value));
  const row = (run: ComparedRun, one: Saving | null): readonly string[] => {
    const first = run.evaluations.at(0);
    const last = run.evaluations.at(-1);
    return [
      run.name,
      first === undefined ? "–" : lossText(first.loss),
      last === undefined ? "–" : lossText(last.loss),
      last === undefined ? "–" : flopsText(last.flops[data.accounting]),
      ...(timed ? [duration(last?.seconds ?? 0)] : []),
      one === null ? "–" : one.reached === null ? (one.coarse ? TOO_FAR : "not reached") : flopsText(one.reached),
      one === null ? "reference" : share(one.reuse),
      ...(charged ? [run.spentBefore === undefined ? "–" : share(one?.allIn)] : []),
    ];
  };
  return {
    caption: "Results",
    columns: [
      "Run",
      "Loss at the start",
      "Loss at the end",
      "FLOPs",
      ...(timed ? ["Training time"] : []),
      "FLOPs to the reference's loss",
      "Saving",
      ...(charged ? ["Saving, all-in"] : []),
    ],
    rows: data.runs.map((run, i) => row(run, savings[i])),
    note: "Saving: 1 − FLOPs at which the run's evaluations first reach the reference's final loss (linear between evaluations, which give no figure where they lie further apart than a tenth of the reference's FLOPs) ÷ the reference's FLOPs. All-in charges the training of the source as well.",
  };
}

function evaluationTables(data: ComparisonReportData): string {
  const tables = data.runs.map((run) =>
    tableOf({
      caption: run.about === undefined ? run.name : `${run.name}: ${run.about}`,
      columns: ["Step", "Tokens", "FLOPs", "Loss"],
      rows: run.evaluations.map((evaluation) => [
        String(evaluation.step),
        String(evaluation.tokens),
        flopsText(evaluation.flops[data.accounting]),
        lossText(evaluation.loss),
      ]),
    }),
  );
  return `<details><summary>All evaluations as tables</summary>${tables.join("")}</details>`;
}
