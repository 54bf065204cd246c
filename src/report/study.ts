/**
 * A study's page: what each method saved, as bars and as curves against FLOPs, tokens and time, and every setting and
 * figure behind it one click away. METHOD: Chen et al., bert2BERT (ACL 2022), section 4 and figure 1.
 */
import { bars } from "./bars.ts";
import { coloursOf, comparedLosses, lossFigures, lossNote } from "./figures.ts";
import { duration, flopsText, lossText } from "./format.ts";
import { details, factList, listings, page, paragraphs, tableOf, text } from "./html.ts";
import { annealedCurve, methodCurve, type StudyMethodResult, type StudyResults } from "./study-data.ts";
import {
  annealedTable,
  budgetTable,
  costTable,
  countName,
  countTable,
  growthTable,
  rateTable,
  resultTable,
  savingText,
  spreadText,
  taskTable,
} from "./study-tables.ts";
import { evaluationTable, known, tableBy } from "./table.ts";

export function renderStudyReport(given: StudyResults): string {
  const results = { ...given, methods: asTheyEnd(given.methods) };
  const { title, discussion } = results;
  const { done, all } = results.progress;
  const [rates, growth, tasks] = [rateTable(results), growthTable(results), taskTable(results)];
  const notes = results.notes.map((note) => `<li>${text(note)}</li>`).join("");
  const body = [
    `<h1>${text(title)}</h1>`,
    paragraphs(results.about),
    done < all ? `<p><strong>${done} of ${all} runs are done.</strong> This page shows what they say.</p>` : "",
    savingBars(results),
    annealedCurves(results),
    "<h2>Validation loss</h2>",
    curves(results),
    tableOf(resultTable(results)),
    tasks.rows.length > 0 ? tableOf(tasks) : "",
    tableOf(countTable(results)),
    rates.rows.length > 0 ? tableOf(rates) : "",
    notes === "" ? "" : `<h2>Before trusting these figures</h2><ul class="notes">${notes}</ul>`,
    factList(results.facts),
    discussion.length > 0 ? `<h2>What its author reads in it</h2>${paragraphs(discussion)}` : "",
    "<h2>Methods and settings</h2>",
    ...results.methods.map(methodDetails),
    growth.rows.length > 0 ? details("The loss at growth", tableOf(growth)) : "",
    details("Cost, stage by stage", tableOf(costTable(results))),
    listings(results.settings),
  ];
  return page(title, body.filter((part) => part !== "").join("\n"));
}

/** In the order in which their curves end, from the top: the table's order is the chart's. What has no end comes last. */
function asTheyEnd(methods: readonly StudyMethodResult[]): readonly StudyMethodResult[] {
  const end = (method: StudyMethodResult) => methodCurve(method).evaluations.at(-1)?.loss ?? Number.NEGATIVE_INFINITY;
  return [...methods].sort((a, b) => end(b) - end(a));
}

function savingBars({ methods, accounting }: StudyResults): string {
  const colours = coloursOf(methods);
  const drawn = methods.flatMap((method, i) => {
    if (method.savings === null) return [];
    const { mean, low, high } = method.savings[accounting].reuse;
    const words = savingText(method, accounting);
    return [{ name: method.label, colour: colours[i], value: mean, low, high, mark: method.paper, words }];
  });
  if (drawn.length === 0) return "";
  const order = ({ value }: (typeof drawn)[number]) => value ?? Number.NEGATIVE_INFINITY;
  drawn.sort((a, b) => order(b) - order(a));
  const marks = drawn.some((bar) => bar.mark !== null)
    ? " The dashed mark is what the paper reports at its own size."
    : "";
  const spread = drawn.some((bar) => bar.low !== bar.high) ? " Whiskers span the seeds." : "";
  return `<h2>What each method saved</h2><figure>${bars(drawn)}<figcaption>Share of the ${countName(accounting)} of training from scratch that was not needed to reach the same loss; the source is taken as given.${spread}${marks}</figcaption></figure>`;
}

function curves({ methods, accounting }: StudyResults): string {
  const compared = methods.map((method) => {
    const { stages, ...curve } = methodCurve(method);
    const saving = method.savings?.[accounting];
    return {
      // Named marks of ten methods would hide the curves; the table names the stages.
      curve: { ...curve, stages: stages.map((stage) => ({ ...stage, name: "" })) },
      reference: method.reference,
      saved: saving && { reached: saving.reached.mean, reuse: saving.reuse.mean },
    };
  });
  const shown = methods.filter((_, i) => compared[i].curve.evaluations.length > 0);
  if (shown.length === 0) return "<p>No run has ended yet.</p>";
  const target = shown.find((method) => method.reference)?.final.mean;
  const seeds = shown.some(({ runs }) => runs.length > 1) ? " A curve is the mean over its seeds." : "";
  const staged = compared.some(({ curve }) => curve.stages.length > 1)
    ? " A dotted vertical line in a curve's colour shows where a stage begins."
    : "";
  const note = `${lossNote(accounting)}${seeds}${staged}`;
  return lossFigures(comparedLosses("loss", "Validation loss", compared, accounting, target, note));
}

/** Annealed losses against budgets, the mean over seeds where all have them. */
function annealedCurves(results: StudyResults): string {
  const { methods, accounting } = results;
  const table = annealedTable(results);
  if (table.rows.length === 0) return "";
  const compared = methods.map((method) => ({ curve: annealedCurve(method), reference: method.reference }));
  const target = methods.find((method) => method.reference)?.final.mean;
  const note =
    "Every point is the end of a run that was annealed there. How far left of the reference's end a curve meets its level is what the method saves for the same final quality.";
  const figures = comparedLosses("annealed", "Annealed validation loss", compared, accounting, target, note);
  const budgets = budgetTable(results);
  const both = `${tableOf(table)}${budgets.rows.length > 0 ? tableOf(budgets) : ""}`;
  return `<h2>At equal annealed loss</h2>${lossFigures(figures)}${both}`;
}

/** A method: what it is, its runs, its settings, its evaluations. */
function methodDetails(method: StudyMethodResult): string {
  const { label, about, reference, savings, final, missing, settings } = method;
  const ended = method.runs.map((run) => ({ ...run, first: run.evaluations.at(0), last: run.evaluations.at(-1) }));
  const runs = tableBy(
    "Runs",
    ended,
    [
      ["Seed", ({ seed }) => String(seed)],
      ["Rate", ({ rate }) => String(rate)],
      ["Loss at the start", ({ first }) => known(first?.loss, lossText)],
      ["Loss at the end", ({ diverged, last }) => (diverged === undefined ? known(last?.loss, lossText) : "diverged")],
      ["FLOPs", ({ last }) => known(last?.flops.exact, flopsText)],
      ["Training time", ({ last }) => known(last?.seconds, duration)],
      ["Cell", ({ cell }) => cell],
    ],
    missing.length > 0 ? `Still to come: seed${missing.length > 1 ? "s" : ""} ${missing.join(", ")}.` : undefined,
  );
  const points = ended.map(({ seed, evaluations }) =>
    tableOf(evaluationTable(`Evaluations, seed ${seed}`, evaluations, "exact")),
  );
  const end = savings === null ? "to come" : `final loss ${spreadText(final, lossText, "diverged")}`;
  const texts = settings.map((item) => `<p class="note">${text(item.title)}</p><pre>${text(item.text)}</pre>`);
  return details(
    `${label}: ${reference ? "the reference" : end}`,
    `<p>${text(about)}</p>${tableOf(runs)}${texts.join("")}${details("All evaluations", points.join(""))}`,
  );
}
