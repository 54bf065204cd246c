/** A study's results as tables: for its page, for Markdown, for a terminal. */
import { type Interval, mean } from "./annealed.ts";
import type { Table } from "./data.ts";
import { savingsByBudget } from "./fair.ts";
import { compact, duration, flopsText, lossText, percent } from "./format.ts";
import type { FairSaving, SavingAxis, SavingSpread, Spread, StudyMethodResult, StudyResults } from "./study-data.ts";
import { type Column, known, markdownTable, tableBy } from "./table.ts";

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
  return `${intervalText(figure)}, speed-up ${percent(figure.mean / (1 - figure.mean))}`;
}

function intervalText({ mean, low, high }: Interval): string {
  const interval = low === null || high === null ? "" : ` (${percent(low).replace(/ %$/, "")} – ${percent(high)})`;
  return `${percent(mean)}${interval}`;
}

/** Annealed losses by budget, and the savings they give; no rows without branches. */
export function annealedTable({ accounting, methods }: StudyResults): Table {
  const shown = methods.filter((method) => method.annealed.length > 0);
  const points = ({ annealed }: StudyMethodResult) => annealed.flatMap((run) => run.points);
  const shares = [...new Set(shown.flatMap(points).map(({ share }) => share))].sort((a, b) => a - b);
  const at = (method: StudyMethodResult, share: number) =>
    points(method).flatMap((point) => (point.share === share ? [point.loss] : []));
  return tableBy(
    "Savings at equal annealed loss",
    shown,
    [
      ["Method", ({ label }) => label],
      ...shares.map((share): Column<StudyMethodResult> => {
        return [`At ${Math.round(100 * share)} %`, (method) => meanLoss(at(method, share), "")];
      }),
      [
        "Ends against the best other",
        (method) => {
          const [own, ...others] = [method, ...shown.filter((one) => one !== method)].map((one) => at(one, 1));
          const ends = others.filter((losses) => losses.length > 0).map(mean);
          if (own.length === 0 || ends.length === 0) return "–";
          const apart = mean(own) - Math.min(...ends);
          return `${lossText(Math.abs(apart))} ${apart > 0 ? "above" : "below"}`;
        },
      ],
      ["Saving", ({ reference, fair }) => (reference ? "reference" : fairText(fair?.[accounting]))],
      ["All-in", ({ reference, fair }) => (reference ? "" : fairText(fair?.[accounting], "allIn"))],
    ],
    "Each loss is the end of a branch: the method's trunk, annealed so that it ends at that share of the budget. Against the best other: how far it ends, at the whole budget, above or below the lowest of all other methods. Saving: 1 − what the method spends for the reference's final loss along its row (linear in the logarithm of FLOPs) ÷ what the reference spent; speed-up: the same as time won back. Of several seeds: the mean over all pairs, with its 95 % interval (Welch's). All-in charges the source's own training; a method without a source has paid everything in its saving.",
  );
}

/** What was saved at each budget at which the reference was annealed; no rows where that is one alone. */
export function budgetTable(results: StudyResults): Table {
  const rows = results.methods.flatMap((method) => {
    const budgets = savingsByBudget(results, method);
    return budgets.length > 1 ? [{ label: method.label, budgets }] : [];
  });
  const parameters = results.setting?.to.parameters;
  const heading = ({ share, tokens }: (typeof rows)[number]["budgets"][number]) =>
    parameters === undefined
      ? `${Math.round(100 * share)} %`
      : `${Number((tokens / parameters).toPrecision(2))} tokens`;
  const saved = (saving: FairSaving) => {
    const figures = [saving.reuse, saving.allIn].map((figure) => figure && intervalText(figure));
    const [reuse, allIn] = figures;
    return reuse === null ? fairText(saving) : `${reuse}${allIn === null ? "" : `, all-in ${allIn}`}`;
  };
  return tableBy(
    "Savings at each budget, in tokens for each of the target's parameters",
    rows,
    [
      ["Method", ({ label }) => label],
      ...(rows.at(0)?.budgets ?? []).map((budget, i): Column<(typeof rows)[number]> => {
        return [heading(budget), ({ budgets }) => saved(budgets[i].saving)];
      }),
    ],
    "As above, with the reference's annealed loss at that budget as the one to reach, and what it spent there as the whole.",
  );
}

/** Why a figure is not there. */
function missingWords(saving: SavingSpread | undefined): string {
  return (saving?.coarse ?? 0) > 0 ? TOO_FAR : "not reached";
}

export function resultTable({ accounting, methods }: StudyResults): Table {
  return tableBy(
    "Savings against the run from scratch",
    methods,
    [
      ["Method", ({ label }) => label],
      ["Peak rate", ({ rate }) => (rate === null ? "to be chosen" : String(rate))],
      ["Loss at the start", ({ runs }) => meanLoss(runs.flatMap((run) => run.evaluations.at(0)?.loss ?? []))],
      ["Loss at the end", ({ final }) => spreadText(final, lossText, "diverged")],
      [
        `${countName(accounting)} to the reference's loss`,
        ({ savings }) => meanText(savings?.[accounting], "reached", flopsText),
      ],
      ["Saving", (method) => savingText(method, accounting)],
      ["The paper's own", ({ paper }) => (paper === null ? "" : percent(paper))],
    ],
    "Saving: 1 − what a method spent until its evaluations first came down to the reference's final loss (linear between evaluations) ÷ what the whole reference run spent; the source is free. Of several seeds: the mean over all pairs of a method's run and a reference's, in brackets the least and the most. A loss that was never reached gives no figure, nor does one reached between evaluations further apart than a tenth of the reference's FLOPs.",
  );
}

/** What was saved beside what the models are good for; no rows without tasks. */
export function taskTable({ methods, accounting }: StudyResults): Table {
  const names = Object.entries(methods.at(0)?.tasks ?? {});
  const scoreText = (score: Spread | undefined) =>
    score === undefined ? "–" : spreadText(score, (value) => value.toFixed(4), "to come");
  const rows = methods.flatMap((method) => {
    const { label, tasks, saved } = method;
    const fair = method.reference ? undefined : method.fair?.[accounting];
    const whole = { label, saving: fair === undefined ? savingText(method, accounting) : fairText(fair), tasks };
    if (saved === undefined) return [whole];
    const share = spreadText(saved.share, percent, "to come");
    return [whole, { label: `${label}, at ${share} of the budget`, saving: "", tasks: saved.tasks }];
  });
  return tableBy(
    "What was saved, and what was kept",
    names.length === 0 ? [] : rows,
    [
      ["Method", ({ label }) => label],
      ["Saving", ({ saving }) => saving],
      ...names.map(([name, { metric }]): Column<(typeof rows)[number]> => {
        return [`${name} (${metric})`, ({ tasks }) => scoreText(tasks?.[name].score)];
      }),
    ],
    "Scores of the models that the runs end with, the mean over the runs' seeds; in brackets the least and the most. Of a task with seeds of its own a run's score is their median. At a share of the budget: of the cheapest branch that ends where the reference does, or below. Savings are those at equal annealed loss where there are branches.",
  );
}

export function countName(accounting: StudyResults["accounting"]): string {
  return accounting === "exact" ? "FLOPs" : "FLOPs (paper's count)";
}

const COUNTS = [
  ["exact", "FLOPs as run"],
  ["paper", "FLOPs, paper's count"],
  ["time", "Training time"],
] as const;

/** The savings counted in other ways. */
export function countTable({ methods }: StudyResults): Table {
  return tableBy(
    "The same savings, counted in other ways",
    methods.filter((method) => !method.reference && method.savings !== null),
    [
      ["Method", ({ label }) => label],
      ...COUNTS.flatMap(([axis, heading]): Column<StudyMethodResult>[] => [
        [heading, ({ savings }) => meanText(savings?.[axis], "reuse", percent)],
        ["… all-in", ({ savings }) => meanText(savings?.[axis], "allIn", percent)],
      ]),
    ],
    "All-in charges the source's own training to the method. Time is that of training alone, evaluations and checkpoints left out, on a machine that may have had other things to do.",
  );
}

/** Without its spread, where the table has no room for it. */
function meanText(
  saving: SavingSpread | undefined,
  of: "reuse" | "allIn" | "reached",
  show: (value: number) => string,
): string {
  return known(saving?.[of], (spread) =>
    spread.mean === null ? spreadText(spread, show, missingWords(saving)) : show(spread.mean),
  );
}

function meanLoss(losses: readonly number[], none = "–"): string {
  return losses.length === 0 ? none : lossText(mean(losses));
}

/** What each stage of each method's first run cost. */
export function costTable({ source, methods }: StudyResults): Table {
  const runs = [
    ...(source === null ? [] : [{ label: "the source", run: source.run }]),
    ...methods.flatMap(({ label, runs: [run] }) => (run === undefined ? [] : [{ label, run }])),
  ];
  const costs = runs.flatMap(({ label, run }) =>
    run.costs.map((cost, i) => ({ ...cost, label: i === 0 ? label : "" })),
  );
  return tableBy(
    "Cost, stage by stage (of each method's first run)",
    costs,
    [
      ["Method", ({ label }) => label],
      ["Stage", ({ name }) => name],
      ["Steps", ({ steps }) => String(steps)],
      ["Tokens", ({ tokens }) => compact(tokens)],
      ["FLOPs as run", ({ flops }) => flopsText(flops.exact)],
      ["FLOPs, paper's count", ({ flops }) => flopsText(flops.paper)],
      ["Training time", ({ seconds }) => duration(seconds)],
      costs.some(({ joules }) => joules !== undefined) && [
        "Energy",
        ({ joules }) => (joules === undefined ? "" : `${compact(joules)} J`),
      ],
    ],
    "FLOPs as run are counted from the programs, a multiply-add as two, the optimizer included. The paper's count takes backward as much as forward, embeddings as dense products, and no optimizer.",
  );
}

/** How the loss changed when something grew. */
export function growthTable({ methods }: StudyResults): Table {
  const signed = (value: number) => `${value < 0 ? "−" : "+"}${lossText(Math.abs(value))}`;
  const growths = methods.flatMap(({ label, runs: [run] }) =>
    (run?.growths ?? []).map((growth, i) => ({ ...growth, label: i === 0 ? label : "" })),
  );
  return tableBy("The loss at growth", growths, [
    ["Method", ({ label }) => label],
    ["Before step", ({ step }) => String(step + 1)],
    ["Stage", ({ stage }) => stage],
    ["Loss before", ({ before }) => known(before, lossText)],
    ["Loss after", ({ after }) => lossText(after)],
    ["Change", ({ before, after }) => known(before, (loss) => signed(after - loss))],
  ]);
}

/** The rates that were tried; no rows where no method tried more than one. */
export function rateTable({ methods }: StudyResults): Table {
  const outcome = ({ loss, diverged }: StudyMethodResult["trials"][number]) =>
    diverged ? "diverged" : loss === null ? "to come" : lossText(loss);
  return tableBy(
    "Peak rates tried with the first seed, and the loss each ended at",
    methods.filter((method) => method.trials.length > 1),
    [
      ["Method", ({ label }) => label],
      ["Rates", ({ trials }) => trials.map((trial) => `${trial.rate}: ${outcome(trial)}`).join("; ")],
    ],
  );
}

const TABLES = [annealedTable, budgetTable, resultTable, taskTable, countTable, growthTable, rateTable, costTable];

/** The results as Markdown: title, paragraphs, the tables that have rows, notes. */
export function studyMarkdown(results: StudyResults): string {
  const { done, all } = results.progress;
  const state = done < all ? [`**${done} of ${all} runs are done; what follows is what they say.**`] : [];
  const notes = results.notes.map((note) => `- ${note}`).join("\n");
  const facts = results.facts.map(([label, value]) => `- ${label}: ${value}`).join("\n");
  const tables = TABLES.map((table) => table(results)).filter((table) => table.rows.length > 0);
  const discussion = results.discussion.length > 0 ? ["## What its author reads in it", ...results.discussion] : [];
  const shown = [...results.about, ...state, ...tables.map(markdownTable), notes, facts, ...discussion];
  return `${[`# ${results.title}`, ...shown].filter((part) => part !== "").join("\n\n")}\n`;
}
