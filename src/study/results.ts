/**
 * From a study's records to its results: savings over seeds, the loss at growth, what each stage cost, and what a reader
 * should know before trusting them. Written as study.json, Markdown and report.html.
 */
import { join } from "node:path";
import { settingOf, sizeOf } from "../advise/advise.ts";
import { claims } from "../advise/literature.ts";
import { parameterCount } from "../model/table.ts";
import { mean } from "../report/annealed.ts";
import type { Fact } from "../report/data.ts";
import { ended, fairSaving, type On } from "../report/fair.ts";
import { compact, flopsText } from "../report/format.ts";
import { type LossPoint, saving } from "../report/saving.ts";
import type {
  AnnealedRun,
  SavingAxis,
  Spread,
  StudyMethodResult,
  StudyResults,
  StudyRun,
} from "../report/study-data.ts";
import { resultTable, studyMarkdown } from "../report/study-tables.ts";
import { writeFileWhole } from "../store/files.ts";
import { asJson } from "./identity.ts";
import { notes } from "./notes.ts";
import type { RunRecord } from "./record.ts";
import { finalLoss, judged, progressOf, runsIn, type StudyState, type Trial } from "./run.ts";
import { REFERENCE, type StudyMethod } from "./settings.ts";
import type { StudyTask } from "./tasks.ts";

export type WrittenResults = Awaited<ReturnType<typeof writeResults>>;

export async function writeResults(state: StudyState) {
  const { renderStudyReport } = await import("../report/study.ts");
  const data = await studyResults(state);
  const at = (name: string) => join(state.study.results, name);
  const files = [at("study.json"), state.study.markdown, at("report.html")];
  await writeFileWhole(files[0], `${JSON.stringify({ format: 1, ...data }, null, 1)}\n`);
  await writeFileWhole(files[1], studyMarkdown(data));
  await writeFileWhole(files[2], renderStudyReport(data));
  const { columns, rows } = resultTable(data);
  /** For a terminal. */
  const table = plainTable([columns, ...rows]);
  return { data, table, files };
}

function plainTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Everything that is known so far. */
export async function studyResults(state: StudyState): Promise<StudyResults> {
  const { study, cells, source, unigramLoss } = state;
  const scratch = study.methods.find(({ name }) => name === REFERENCE);
  const reference = scratch === undefined ? [] : runsOf(state, scratch).runs;
  const last = source?.evaluations.at(-1);
  const { done, all } = progressOf(state);
  const { dropout } = study.training.optimizer;
  const { tokens } = cells.budget;
  const results: StudyResults = {
    ...{ title: study.title, about: study.about, discussion: study.discussion },
    progress: { done, all: all + [...state.waiting.values()].flat().length },
    ...{ accounting: study.accounting, budget: cells.budget },
    setting: settingOf(cells.sourceModel, cells.target, tokens, dropout === "config" ? undefined : dropout),
    source:
      source === undefined || last === undefined
        ? null
        : {
            ...{ loss: last.loss, flops: last.flops, seconds: last.seconds },
            run: studyRun(source, cells.source.id, undefined, 0, 0),
          },
    methods: await Promise.all(study.methods.map((method) => methodResult(state, method, reference))),
    facts: facts(state),
    notes: [],
    settings: [{ title: "The study as it is written", text: study.text }],
  };
  return { ...results, notes: notes(results, unigramLoss) };
}

/** A method's runs: what was tried, and what goes on with the rate that was chosen. */
function runsOf(state: StudyState, method: StudyMethod) {
  const own = state.trials.filter((trial) => trial.method === method);
  const tried = own.filter((trial) => trial.phase < 2);
  const losses = tried.map((trial) => finalLoss(trial.record) ?? Number.POSITIVE_INFINITY);
  const rate = state.rates.get(method.name);
  // Before the choice is made the best rate so far is shown.
  const shown = rate ?? tried[losses.indexOf(Math.min(...losses))]?.rate;
  const branches = own.filter((trial) => trial.rate === shown);
  const chosen = branches.filter((trial) => trial.share === 1);
  const before = method.growth === undefined ? undefined : (finalLoss(state.source) ?? null);
  const { saved } = judged(state, method);
  const scores = (of: readonly Trial[]) =>
    scoresIn(
      state.study.tasks,
      of.map(({ record }) => record),
    );
  const tasks = scores(chosen);
  return {
    trials: tried.map(({ rate, record }) => {
      return { rate, loss: finalLoss(record) ?? null, diverged: record?.diverged !== undefined };
    }),
    rate: rate ?? null,
    runs: chosen.flatMap((trial) =>
      trial.record === undefined ? [] : [studyRun(trial.record, trial.cell.id, before, trial.rate, trial.seed)],
    ),
    missing: [
      ...chosen.filter((trial) => trial.record === undefined).map((trial) => trial.seed),
      ...(state.waiting.get(method.name) ?? []),
    ],
    ...(tasks === undefined ? {} : { tasks }),
    ...(tasks === undefined || saved.length === 0
      ? {}
      : { saved: { share: spreadOf(saved.map(({ share }) => share)), tasks: scores(saved) } }),
    annealed: method.branches === undefined ? [] : method.seeds.flatMap((seed) => annealedRun(branches, seed)),
  };
}

function scoresIn(
  tasks: readonly StudyTask[],
  records: readonly (RunRecord | undefined)[],
): StudyMethodResult["tasks"] {
  if (tasks.length === 0) return undefined;
  const scored = tasks.map(({ name, key, metric }) => {
    const found = records.map((record) => (record?.tasks?.[name]?.key === key ? record.tasks[name].score : null));
    return [name, { metric, score: spreadOf(found) }] as const;
  });
  return Object.fromEntries(scored);
}

/** A seed's annealed losses once all of its branches are done: a part of a curve would give other figures. */
function annealedRun(branches: readonly Trial[], seed: number): readonly AnnealedRun[] {
  const own = branches.filter((trial) => trial.seed === seed);
  if (own.some((trial) => trial.record === undefined)) return [];
  const points = own.flatMap(({ share, record }) => {
    const end = finalLoss(record) !== undefined ? record?.evaluations.at(-1) : undefined;
    if (end === undefined) return [];
    const { stage: _, ...point } = end;
    return [{ ...point, share }];
  });
  return points.length === 0 ? [] : [{ seed, points: points.sort((a, b) => a.share - b.share) }];
}

/** @param before the source's final loss, null if unknown; undefined for a run that begins with random weights */
function studyRun(
  record: RunRecord,
  cell: string,
  before: number | null | undefined,
  rate: number,
  seed: number,
): StudyRun {
  const { evaluations } = record;
  const growths = evaluations.flatMap((point, i) => {
    if (i === 0) return before === undefined ? [] : [{ step: 0, stage: point.stage, before, after: point.loss }];
    const last = evaluations[i - 1];
    // Evaluated twice at one step: just before and just after a growth.
    return last.step === point.step
      ? [{ step: point.step, stage: point.stage, before: last.loss, after: point.loss }]
      : [];
  });
  return {
    ...{ seed, rate, cell, engine: record.engine, machine: record.machine },
    ...(record.diverged === undefined ? {} : { diverged: record.diverged }),
    evaluations: evaluations.map(({ stage: _, ...point }) => point),
    costs: record.stages,
    growths,
  };
}

async function methodResult(
  state: StudyState,
  method: StudyMethod,
  reference: readonly StudyRun[],
): Promise<StudyMethodResult> {
  const { cells, source } = state;
  const { name, label, about, definition } = method;
  const { annealed, ...own } = runsOf(state, method);
  const grown = method.growth !== undefined;
  const spent = cells.source.kind === "run" ? source?.evaluations.at(-1) : undefined;
  const before = (on: On) => (grown ? (spent === undefined ? null : on(spent)) : undefined);
  const claimed = claims.find(
    (claim) => claim.method === definition?.name && claim.architecture === cells.target.architecture.type,
  );
  const compared = name !== REFERENCE && own.runs.length > 0 && ended(reference).length > 0;
  return {
    ...{ name, label, about, reference: name === REFERENCE, grown, begins: sizeOf(cells.beginsOf(method)) },
    paper: (label === definition?.label ? claimed?.saving : undefined) ?? null,
    ...own,
    final: spreadOf(
      own.runs.map((run) => (run.diverged === undefined ? (run.evaluations.at(-1)?.loss ?? null) : null)),
    ),
    savings: compared ? byAxis((on) => savingSpread(own.runs, reference, on, before(on))) : null,
    annealed,
    fair: compared && annealed.length > 0 ? byAxis((on) => fairSaving(annealed, reference, on, before(on))) : null,
    settings: [{ title: "Settings", text: await settingsText(state, method) }],
  };
}

function byAxis<R>(of: (on: On) => R): Record<SavingAxis, R> {
  return {
    exact: of((point) => point.flops.exact),
    paper: of((point) => point.flops.paper),
    time: of((point) => point.seconds ?? 0),
  };
}

/**
 * What runs saved against a reference's along one axis, over all pairs.
 * @param spent on the source: null if unknown, undefined where there is no source
 */
export function savingSpread(
  runs: readonly StudyRun[],
  reference: readonly StudyRun[],
  on: On,
  spent: number | null | undefined,
) {
  const curve = (run: StudyRun): LossPoint[] =>
    run.evaluations.map((point) => ({ flops: on(point), loss: point.loss }));
  const pairs = runs.flatMap((run) =>
    ended(reference).map((against) =>
      run.evaluations.length === 0 ? null : saving(curve(run), curve(against), spent ?? 0),
    ),
  );
  return {
    reuse: spreadOf(pairs.map((pair) => pair?.reuse ?? null)),
    allIn: spent == null ? null : spreadOf(pairs.map((pair) => pair?.allIn ?? null)),
    reached: spreadOf(pairs.map((pair) => pair?.reached ?? null)),
    coarse: pairs.filter((pair) => pair?.coarse === true).length,
  };
}

/** No mean is made of a part: where one is missing there is none. */
export function spreadOf(values: readonly (number | null)[]): Spread {
  const there = values.filter((value) => value !== null);
  const missing = values.length - there.length;
  return {
    mean: missing > 0 || there.length === 0 ? null : mean(there),
    low: there.length === 0 ? null : Math.min(...there),
    high: there.length === 0 ? null : Math.max(...there),
    count: values.length,
    missing,
  };
}

async function settingsText({ cells }: StudyState, method: StudyMethod): Promise<string> {
  const { stringify } = await import("yaml");
  const { growth, rates, schedule, seeds } = method;
  const { lr: _, ...optimizer } = method.optimizer;
  // What is undefined is left out.
  const text = asJson({ growth, plan: cells.planOf(method), rates, optimizer, schedule, seeds });
  return stringify(text, { lineWidth: 120 });
}

function facts(state: StudyState): readonly Fact[] {
  const { study, cells } = state;
  const { training } = study;
  const model = ({ dimensions: d, parameters }: typeof cells.target) =>
    `${d.layers} layers, ${d.hidden} wide, ${d.heads} heads, ${parameterCount(parameters).toLocaleString("en")} parameters`;
  const records = runsIn(state).flatMap(({ record }) => record ?? []);
  const several = (values: readonly string[]) => [...new Set(values)].join("; ") || "–";
  const { batch, optimizer, schedule } = training;
  return [
    ["Source", `${cells.sourceModel.architecture.type}, ${model(cells.sourceModel)}`],
    ["Target", model(cells.target)],
    ["Vocabulary", String(cells.target.dimensions.vocab)],
    [
      "Budget",
      `${cells.budget.steps} steps from scratch (${compact(cells.budget.tokens)} tokens), ${flopsText(cells.budget.flops.exact)} FLOPs as run, ${flopsText(cells.budget.flops.paper)} by the paper's count`,
    ],
    ["A step", `${batch.sequences * batch.accumulate} sequences of ${cells.length} tokens`],
    [
      "Optimizer",
      `AdamW, betas ${optimizer.betas.join(" and ")}, weight decay ${optimizer.weight_decay}, clipping at ${optimizer.clip}; warm-up ${schedule.warmup}, ${schedule.decay} decay`,
    ],
    ["Engine", several(records.map((record) => record.engine))],
    ["Machine", several(records.map((record) => record.machine))],
    [
      "Version",
      several(records.map((record) => `bert2bert ${record.versions.bert2bert}, Node ${record.versions.node}`)),
    ],
  ];
}
