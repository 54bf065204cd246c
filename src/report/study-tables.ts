/** A study's results as tables: for its page, for Markdown, for a terminal. */
import type { Table } from "./data.ts";
import { compact, duration, flopsText, lossText, percent } from "./format.ts";
import type { FairSaving, SavingAxis, SavingSpread, Spread, StudyMethodResult, StudyResults } from "./study-data.ts";

/** A figure with its spread, or what is missing of it. @param show one value */
export function spreadText(spread: Spread, show: (value: number) => string, missing = "not reached"): string {
  if (spread.count === 0) return "–";
  if (spread.mean === null) {
    return spread.count === 1 ? missing : `${missing} in ${spread.missing} of ${spread.count}`;
  }
  if (spread.count < 2 || spread.low === null || spread.high === null) return show(spread.mean);
  // "81.4 – 100.0 %": the unit once.
  const low = show(spread.low);
  const high = show(spread.high);
  return low === high ? high : `${show(spread.mean)} (${low.replace(/ %$/, "")} – ${high})`;
}

/** Of a crossing between evaluations that lie too far apart. */
export const TOO_FAR = "evaluations too far apart";

/** What a method saved, in a cell. */
export function savingText(method: StudyMethodResult, axis: SavingAxis): string {
  if (method.reference) return "reference";
  if (method.savings === null) return method.runs.length === 0 ? "to come" : "–";
  return spreadText(method.savings[axis].reuse, percent, missingWords(method.savings[axis]));
}

/** A share saved, what it is as a speed-up, and its interval. */
export function fairText(saving: FairSaving | undefined, of: "reuse" | "allIn" = "reuse"): string {
  if (saving === undefined) return "–";
  const { before, never, pairs } = saving;
  const figure = saving[of];
  if (figure === null) {
    if (before + never === 0) return "–";
    const inPairs = (count: number) => (pairs === 1 ? "" : ` in ${count} of ${pairs}`);
    return never > 0 ? `not reached${inPairs(never)}` : `below it at the least budget${inPairs(before)}`;
  }
  const { mean, low, high } = figure;
  const interval = low === null || high === null ? "" : ` (${percent(low).replace(/ %$/, "")} – ${percent(high)})`;
  return `${percent(mean)}${interval}, speed-up ${percent(mean / (1 - mean))}`;
}

/** Annealed losses by budget, and the savings they give; undefined without branches. */
export function annealedTable(results: StudyResults): Table | undefined {
  const { accounting } = results;
  const shown = results.methods.filter((method) => method.annealed.length > 0);
  if (shown.length === 0) return undefined;
  const ends = shown.flatMap(({ annealed }) => annealed.flatMap(({ points }) => points.map(({ share }) => share)));
  const shares = [...new Set(ends)].sort((a, b) => a - b);
  const at = (method: StudyMethodResult, share: number) => {
    const losses = method.annealed.flatMap(({ points }) =>
      points.flatMap((point) => (point.share === share ? [point.loss] : [])),
    );
    return losses.length === 0 ? "" : lossText(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
  };
  return {
    caption: "Savings at equal annealed loss",
    columns: ["Method", ...shares.map((share) => `At ${Math.round(100 * share)} %`), "Saving", "All-in"],
    rows: shown.map((method) => [
      method.label,
      ...shares.map((share) => at(method, share)),
      method.reference ? "reference" : fairText(method.fair?.[accounting]),
      method.reference ? "" : fairText(method.fair?.[accounting], "allIn"),
    ]),
    note: "Each loss is the end of a branch: the method's trunk, annealed so that it ends at that share of the budget. Saving: 1 − what the method spends for the reference's final loss along its row (linear in the logarithm of FLOPs) ÷ what the reference spent; speed-up: the same as time won back. Of several seeds: the mean over all pairs, with its 95 % interval (Welch's). All-in charges the source's own training; a method without a source has paid everything in its saving.",
  };
}

/** Why a figure is not there. */
function missingWords(saving: SavingSpread | undefined): string {
  return (saving?.coarse ?? 0) > 0 ? TOO_FAR : "not reached";
}

export function resultTable(results: StudyResults): Table {
  const { accounting } = results;
  const show = accounting === "exact" ? "FLOPs" : "FLOPs (paper's count)";
  return {
    caption: "Savings against the run from scratch",
    columns: [
      "Method",
      "Peak rate",
      "Loss at the start",
      "Loss at the end",
      `${show} to the reference's loss`,
      "Saving",
      "The paper's own",
    ],
    rows: results.methods.map((method) => [
      method.label,
      method.rate === null ? "to be chosen" : String(method.rate),
      startText(method),
      spreadText(method.final, lossText, "diverged"),
      method.savings === null
        ? "–"
        : meanText(method.savings[accounting].reached, flopsText, missingWords(method.savings[accounting])),
      savingText(method, accounting),
      method.paper === null ? "" : percent(method.paper),
    ]),
    note: "Saving: 1 − what a method spent until its evaluations first came down to the reference's final loss (linear between evaluations) ÷ what the whole reference run spent; the source is free. Of several seeds: the mean over all pairs of a method's run and a reference's, in brackets the least and the most. A loss that was never reached gives no figure, nor does one reached between evaluations further apart than a tenth of the reference's FLOPs.",
  };
}

/** What was saved beside what the models are good for; undefined without tasks. */
export function taskTable({ methods, accounting }: StudyResults): Table | undefined {
  const tasks = Object.entries(methods.at(0)?.tasks ?? {});
  if (tasks.length === 0) return undefined;
  return {
    caption: "What was saved, and what was kept",
    columns: ["Method", "Saving", ...tasks.map(([name, { metric }]) => `${name} (${metric})`)],
    rows: methods.map((method) => [
      method.label,
      savingText(method, accounting),
      ...Object.values(method.tasks ?? {}).map(({ score }) =>
        spreadText(score, (value) => value.toFixed(4), "to come"),
      ),
    ]),
    note: "Scores of the models that the runs end with, the mean over the runs' seeds; in brackets the least and the most. Of a task with seeds of its own a run's score is their median.",
  };
}

/** The savings counted in other ways. */
export function countTable(results: StudyResults): Table {
  const compared = results.methods.filter((method) => !method.reference && method.savings !== null);
  return {
    caption: "The same savings, counted in other ways",
    columns: ["Method", "FLOPs as run", "… all-in", "FLOPs, paper's count", "… all-in", "Training time", "… all-in"],
    rows: compared.map((method) => [
      method.label,
      ...(["exact", "paper", "time"] as const).flatMap((axis) => [
        meanText(method.savings?.[axis].reuse, percent, missingWords(method.savings?.[axis])),
        meanText(method.savings?.[axis].allIn, percent, missingWords(method.savings?.[axis])),
      ]),
    ]),
    note: "All-in charges the source's own training to the method. Time is that of training alone, evaluations and checkpoints left out, on a machine that may have had other things to do.",
  };
}

/** Without its spread, where the table has no room for it. */
function meanText(spread: Spread | null | undefined, show: (value: number) => string, missing?: string): string {
  if (spread == null) return "–";
  return spread.mean === null ? spreadText(spread, show, missing) : show(spread.mean);
}

function startText(method: StudyMethodResult): string {
  const starts = method.runs.flatMap((run) => run.evaluations.at(0)?.loss ?? []);
  return starts.length === 0 ? "–" : lossText(starts.reduce((sum, loss) => sum + loss, 0) / starts.length);
}

/** What each stage of each method's first run cost. */
export function costTable(results: StudyResults): Table {
  const source = results.source === null ? [] : [{ label: "the source", run: results.source.run }];
  const runs = [
    ...source,
    ...results.methods.flatMap((method) =>
      method.runs.length === 0 ? [] : [{ label: method.label, run: method.runs[0] }],
    ),
  ];
  const energy = runs.some(({ run }) => run.costs.some((cost) => cost.joules !== undefined));
  return {
    caption: "Cost, stage by stage (of each method's first run)",
    columns: [
      "Method",
      "Stage",
      "Steps",
      "Tokens",
      "FLOPs as run",
      "FLOPs, paper's count",
      "Training time",
      ...(energy ? ["Energy"] : []),
    ],
    rows: runs.flatMap(({ label, run }) =>
      run.costs.map((cost, i) => [
        i === 0 ? label : "",
        cost.name,
        String(cost.steps),
        compact(cost.tokens),
        flopsText(cost.flops.exact),
        flopsText(cost.flops.paper),
        duration(cost.seconds),
        ...(energy ? [cost.joules === undefined ? "" : `${compact(cost.joules)} J`] : []),
      ]),
    ),
    note: "FLOPs as run are counted from the programs, a multiply-add as two, the optimizer included. The paper's count takes backward as much as forward, embeddings as dense products, and no optimizer.",
  };
}

/** How the loss changed when something grew. */
export function growthTable(results: StudyResults): Table {
  const signed = (value: number) => `${value < 0 ? "−" : "+"}${lossText(Math.abs(value))}`;
  return {
    caption: "The loss at growth",
    columns: ["Method", "Before step", "Stage", "Loss before", "Loss after", "Change"],
    rows: results.methods.flatMap((method) =>
      (method.runs.at(0)?.growths ?? []).map((growth, i) => [
        i === 0 ? method.label : "",
        String(growth.step + 1),
        growth.stage,
        growth.before === null ? "–" : lossText(growth.before),
        lossText(growth.after),
        growth.before === null ? "–" : signed(growth.after - growth.before),
      ]),
    ),
  };
}

/** The rates that were tried; undefined where no method tried more than one. */
export function rateTable(results: StudyResults): Table | undefined {
  const several = results.methods.filter((method) => method.trials.length > 1);
  if (several.length === 0) return undefined;
  return {
    caption: "Peak rates tried with the first seed, and the loss each ended at",
    columns: ["Method", "Rates"],
    rows: several.map((method) => [
      method.label,
      method.trials
        .map(
          ({ rate, loss, diverged }) =>
            `${rate}: ${diverged ? "diverged" : loss === null ? "to come" : lossText(loss)}`,
        )
        .join("; "),
    ]),
  };
}

/** All tables that have rows, the results first. */
export function studyTables(results: StudyResults): readonly Table[] {
  const rates = rateTable(results);
  const annealed = annealedTable(results);
  const tasks = taskTable(results);
  return [
    ...(annealed === undefined ? [] : [annealed]),
    resultTable(results),
    ...(tasks === undefined ? [] : [tasks]),
    countTable(results),
    growthTable(results),
    ...(rates === undefined ? [] : [rates]),
    costTable(results),
  ].filter((table) => table.rows.length > 0);
}

/** The results as Markdown: title, paragraphs, tables, notes. */
export function studyMarkdown(results: StudyResults): string {
  const { done, all } = results.progress;
  const state = done < all ? [`**${done} of ${all} runs are done; what follows is what they say.**`] : [];
  const notes = results.notes.map((note) => `- ${note}`).join("\n");
  const facts = results.facts.map(([label, value]) => `- ${label}: ${value}`).join("\n");
  const tables = studyTables(results).map(markdownTable);
  const discussion = results.discussion.length > 0 ? ["## What its author reads in it", ...results.discussion] : [];
  const parts = [`# ${results.title}`, ...results.about, ...state, ...tables, notes, facts, ...discussion];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function markdownTable(table: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = line(table.columns.map((_, i) => (i === 0 ? "---" : "---:")));
  const note = table.note === undefined ? "" : `\n\n${table.note}`;
  return `## ${table.caption}\n\n${[line(table.columns), rule, ...table.rows.map(line)].join("\n")}${note}`;
}
