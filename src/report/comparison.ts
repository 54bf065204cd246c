/**
 * The page that compares runs on one budget: their loss curves, what each saved against the reference run, and the
 * numbers behind both. METHOD: Chen et al., bert2BERT (ACL 2022), section 4 and figure 1.
 */

import { picture } from "./chart.ts";
import type { ComparedRun, ComparisonReportData } from "./data.ts";
import { coloursOf, comparedLosses, lossChart, lossFigures, lossNote } from "./figures.ts";
import { duration, flopsText, lossText, percent } from "./format.ts";
import { details, factList, hue, listings, page, paragraphs, tableOf, text } from "./html.ts";
import { lossPoints, type Saving, saving } from "./saving.ts";
import { TOO_FAR } from "./study-tables.ts";
import { evaluationTable, known, tableBy } from "./table.ts";

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
  const { title, lead, runs, accounting } = data;
  const points = runs.map((run) => {
    const caption = run.about === undefined ? run.name : `${run.name}: ${run.about}`;
    return tableOf(evaluationTable(caption, run.evaluations, accounting));
  });
  const body = [
    `<h1>${text(title)}</h1>`,
    paragraphs(lead),
    savingCards(data),
    "<h2>Validation loss</h2>",
    lossFigures(figuresOf(data)),
    tableOf(resultTable(data)),
    ...data.tables.map(tableOf),
    factList(data.facts),
    data.listings.length > 0 ? "<h2>Settings</h2>" : "",
    listings(data.listings),
    details("All evaluations as tables", points.join("")),
  ];
  return page(title, body.join("\n"));
}

/** Loss against FLOPs as an SVG file of its own. */
export function comparisonPicture(data: ComparisonReportData): string {
  return picture(lossChart(figuresOf(data)).spec);
}

function figuresOf(data: ComparisonReportData) {
  const { runs, accounting } = data;
  const savings = savingsOf(data);
  const target = runs.find((run) => run.reference)?.evaluations.at(-1)?.loss;
  const compared = runs.map((curve, i) => ({ curve, reference: curve.reference, saved: savings[i] }));
  return comparedLosses("loss", "Validation loss", compared, accounting, target, lossNote(accounting));
}

function savingCards(data: ComparisonReportData): string {
  const savings = savingsOf(data);
  const colours = coloursOf(data.runs);
  const items = data.runs.flatMap((run, i) => {
    const one = savings[i];
    return one === null ? [] : [`<li style="--c:${hue(colours[i])}">${savingWords(run, one)}</li>`];
  });
  return items.length === 0 ? "" : `<ul class="savings">${items.join("")}</ul>`;
}

function savingWords({ name, spentBefore }: ComparedRun, { target, reuse, allIn, coarse }: Saving): string {
  const card = (what: string, ...why: readonly string[]) =>
    `<strong>${what}</strong>${why.map((words) => `<span>${text(words)}</span>`).join("")}`;
  const loss = `a loss of ${lossText(target)}`;
  if (coarse) {
    return card("no figure", `${name} reached ${loss} between evaluations too far apart to say where`);
  }
  if (reuse === null) return card("no saving", `${name} did not reach ${loss} in this budget`);
  const charged = allIn !== null && spentBefore !== undefined;
  return card(
    reuse >= 0 ? `${percent(reuse)} fewer FLOPs` : `${percent(-reuse)} more FLOPs`,
    `${name}, to the loss the reference ends at`,
    ...(charged ? [`${percent(allIn)} with the source's own training charged`] : []),
  );
}

function resultTable(data: ComparisonReportData) {
  const savings = savingsOf(data);
  const rows = data.runs.map((run, i) => ({ ...run, saved: savings[i], end: run.evaluations.at(-1) }));
  const reached = ({ reached, coarse }: Saving) =>
    reached === null ? (coarse ? TOO_FAR : "not reached") : flopsText(reached);
  return tableBy(
    "Results",
    rows,
    [
      ["Run", ({ name }) => name],
      ["Loss at the start", ({ evaluations }) => known(evaluations.at(0)?.loss, lossText)],
      ["Loss at the end", ({ end }) => known(end?.loss, lossText)],
      ["FLOPs", ({ end }) => known(end?.flops[data.accounting], flopsText)],
      rows.every(({ end }) => end?.seconds !== undefined) && [
        "Training time",
        ({ end }) => known(end?.seconds, duration),
      ],
      ["FLOPs to the reference's loss", ({ saved }) => known(saved, reached)],
      ["Saving", ({ saved }) => (saved === null ? "reference" : known(saved.reuse, percent))],
      rows.some(({ spentBefore }) => spentBefore) && [
        "Saving, all-in",
        ({ saved, spentBefore }) => known(spentBefore && saved?.allIn, percent),
      ],
    ],
    "Saving: 1 − FLOPs at which the run's evaluations first reach the reference's final loss (linear between evaluations, which give no figure where they lie further apart than a tenth of the reference's FLOPs) ÷ the reference's FLOPs. All-in charges the training of the source as well.",
  );
}
