/**
 * A study's page: what each method saved, as bars and as curves against FLOPs, tokens and time, and every setting and
 * figure behind it one click away. METHOD: Chen et al., bert2BERT (ACL 2022), section 4 and figure 1.
 */
import { bars } from "./bars.ts";
import { axes } from "./curves.ts";
import { lossFigures } from "./figures.ts";
import { duration, flopsText, lossText, percent } from "./format.ts";
import { factList, listings, page, tableOf, text } from "./html.ts";
import { annealedMeans, methodCurve, type StudyMethodResult, type StudyResults } from "./study-data.ts";
import {
  annealedTable,
  costTable,
  countTable,
  growthTable,
  rateTable,
  resultTable,
  savingText,
  spreadText,
  taskTable,
} from "./study-tables.ts";

export function renderStudyReport(given: StudyResults): string {
  const results = { ...given, methods: asTheyEnd(given.methods) };
  const { done, all } = results.progress;
  const rates = rateTable(results);
  const growth = growthTable(results);
  const tasks = taskTable(results);
  const body = [
    `<h1>${text(results.title)}</h1>`,
    ...results.about.map((paragraph) => `<p>${text(paragraph)}</p>`),
    done < all ? `<p><strong>${done} of ${all} runs are done.</strong> This page shows what they say.</p>` : "",
    savingBars(results),
    annealedCurves(results),
    "<h2>Validation loss</h2>",
    curves(results),
    tableOf(resultTable(results)),
    tasks === undefined ? "" : tableOf(tasks),
    tableOf(countTable(results)),
    rates === undefined ? "" : tableOf(rates),
    results.notes.length > 0
      ? `<h2>Before trusting these figures</h2><ul class="notes">${results.notes.map((note) => `<li>${text(note)}</li>`).join("")}</ul>`
      : "",
    factList(results.facts),
    results.discussion.length > 0 ? "<h2>What its author reads in it</h2>" : "",
    ...results.discussion.map((paragraph) => `<p>${text(paragraph)}</p>`),
    "<h2>Methods and settings</h2>",
    ...results.methods.map(methodDetails),
    growth.rows.length > 0 ? `<details><summary>The loss at growth</summary>${tableOf(growth)}</details>` : "",
    `<details><summary>Cost, stage by stage</summary>${tableOf(costTable(results))}</details>`,
    listings(results.settings),
  ];
  return page(results.title, body.filter((part) => part !== "").join("\n"));
}

/** In the order in which their curves end, from the top: the table's order is the chart's. What has no end comes last. */
function asTheyEnd(methods: readonly StudyMethodResult[]): readonly StudyMethodResult[] {
  const end = (method: StudyMethodResult) => methodCurve(method).evaluations.at(-1)?.loss ?? Number.NEGATIVE_INFINITY;
  return [...methods].sort((a, b) => end(b) - end(a));
}

/** Colours in the order of the chart, so that neighbours differ; the reference has the first. */
function coloursOf(methods: readonly StudyMethodResult[]): readonly number[] {
  let next = 1;
  return methods.map((method) => (method.reference ? 0 : next++));
}

function savingBars(results: StudyResults): string {
  const { methods, accounting } = results;
  const colours = coloursOf(methods);
  const shown = methods.flatMap((method, i) => (method.savings === null ? [] : [{ method, colour: colours[i] }]));
  if (shown.length === 0) return "";
  const drawn = shown
    .map(({ method, colour }) => {
      const reuse = method.savings?.[accounting].reuse;
      return {
        name: method.label,
        colour,
        value: reuse?.mean ?? null,
        low: reuse?.low ?? null,
        high: reuse?.high ?? null,
        mark: method.paper,
        words: savingText(method, accounting),
      };
    })
    .sort((a, b) => (b.value ?? Number.NEGATIVE_INFINITY) - (a.value ?? Number.NEGATIVE_INFINITY));
  const description = drawn.map((bar) => `${bar.name}: ${bar.words}`).join("; ");
  const marks = drawn.some((bar) => bar.mark !== null)
    ? " The dashed mark is what the paper reports at its own size."
    : "";
  const spread = drawn.some((bar) => bar.low !== bar.high) ? " Whiskers span the seeds." : "";
  return `<h2>What each method saved</h2><figure>${bars({ id: "savings", title: "Saving of each method", description, bars: drawn })}<figcaption>Share of the ${accounting === "exact" ? "FLOPs" : "FLOPs (paper's count)"} of training from scratch that was not needed to reach the same loss; the source is taken as given.${spread}${marks}</figcaption></figure>`;
}

function curves(results: StudyResults): string {
  const { accounting } = results;
  const colours = coloursOf(results.methods);
  const shown = results.methods.flatMap((method, i) => {
    const curve = methodCurve(method);
    return curve.evaluations.length === 0 ? [] : [{ method, curve, colour: colours[i] }];
  });
  if (shown.length === 0) return "<p>No run has ended yet.</p>";
  const reference = shown.find(({ method }) => method.reference);
  const target = reference?.method.final.mean ?? undefined;
  const best = shown
    .flatMap(({ method, colour }) => {
      const saving = method.savings?.[accounting];
      const reached = saving?.reached.mean;
      const reuse = saving?.reuse.mean;
      return reached == null || reuse == null || reuse <= 0 ? [] : [{ reached, reuse, colour }];
    })
    .sort((a, b) => b.reuse - a.reuse)
    .at(0);
  const end = reference?.curve.evaluations.at(-1)?.flops[accounting];
  const counted =
    accounting === "exact"
      ? "FLOPs are counted from the programs that ran, a multiply-add as two."
      : "FLOPs are counted by the paper's convention.";
  const several = shown.some(({ method }) => method.runs.length > 1);
  const staged = shown.some(({ curve }) => curve.stages.length > 1);
  return lossFigures({
    id: "loss",
    title: "Validation loss",
    curves: shown.map(({ curve }) => ({
      ...curve,
      // Named marks of ten methods would hide the curves; the table names the stages.
      stages: curve.stages.map((stage) => ({ ...stage, name: "" })),
    })),
    axes: axes(accounting),
    colours: shown.map(({ colour }) => colour),
    training: false,
    note: `Lower is better, further left is cheaper. ${counted}${several ? " A curve is the mean over its seeds." : ""}${staged ? " A dotted vertical line in a curve's colour shows where a stage begins." : ""}`,
    level:
      target === undefined ? undefined : { y: target, label: `${reference?.method.label} ends at ${lossText(target)}` },
    bracket:
      best === undefined || end === undefined
        ? undefined
        : { from: best.reached, to: end, label: `${percent(best.reuse)} saved`, colour: best.colour },
  });
}

/** Annealed losses against budgets, the mean over seeds where all have them. */
function annealedCurves(results: StudyResults): string {
  const table = annealedTable(results);
  if (table === undefined) return "";
  const colours = coloursOf(results.methods);
  const shown = results.methods.flatMap((method, i) => {
    const evaluations = annealedMeans(method);
    return evaluations.length === 0
      ? []
      : [{ curve: { name: method.label, log: [], evaluations, stages: [] }, colour: colours[i] }];
  });
  const reference = results.methods.find((method) => method.reference);
  const target = reference?.final.mean ?? undefined;
  const figure = lossFigures({
    id: "annealed",
    title: "Annealed validation loss",
    curves: shown.map(({ curve }) => curve),
    axes: axes(results.accounting),
    colours: shown.map(({ colour }) => colour),
    training: false,
    note: "Every point is the end of a run that was annealed there. How far left of the reference's end a curve meets its level is what the method saves for the same final quality.",
    level: target === undefined ? undefined : { y: target, label: `${reference?.label} ends at ${lossText(target)}` },
  });
  return `<h2>At equal annealed loss</h2>${figure}${tableOf(table)}`;
}

/** A method: what it is, its runs, its settings, its evaluations. */
function methodDetails(method: StudyMethodResult): string {
  const runs = tableOf({
    caption: "Runs",
    columns: ["Seed", "Rate", "Loss at the start", "Loss at the end", "FLOPs", "Training time", "Cell"],
    rows: method.runs.map((run) => {
      const last = run.evaluations.at(-1);
      return [
        String(run.seed),
        String(run.rate),
        run.evaluations.length === 0 ? "–" : lossText(run.evaluations[0].loss),
        run.diverged !== undefined ? "diverged" : last === undefined ? "–" : lossText(last.loss),
        last === undefined ? "–" : flopsText(last.flops.exact),
        last === undefined ? "–" : duration(last.seconds ?? 0),
        run.cell,
      ];
    }),
    note:
      method.missing.length > 0
        ? `Still to come: seed${method.missing.length > 1 ? "s" : ""} ${method.missing.join(", ")}.`
        : undefined,
  });
  const points = method.runs.map((run) =>
    tableOf({
      caption: `Evaluations, seed ${run.seed}`,
      columns: ["Step", "Tokens", "FLOPs", "Loss"],
      rows: run.evaluations.map((point) => [
        String(point.step),
        point.tokens.toLocaleString("en"),
        flopsText(point.flops.exact),
        lossText(point.loss),
      ]),
    }),
  );
  const summary = `${method.label}: ${method.reference ? "the reference" : method.savings === null ? "to come" : `final loss ${spreadText(method.final, lossText, "diverged")}`}`;
  const texts = method.settings.map((item) => `<p class="note">${text(item.title)}</p><pre>${text(item.text)}</pre>`);
  return `<details><summary>${text(summary)}</summary><p>${text(method.about)}</p>${runs}${texts.join("")}<details><summary>All evaluations</summary>${points.join("")}</details></details>`;
}
