/**
 * What a finished run leaves beside its heavy folder: a small JSON file with its settings, its curve, what each stage
 * cost, how long it took and on what. It can be committed and given back: a run that has a record is not run again.
 */
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { writeFileWhole } from "../store/files.ts";
import type { Stage } from "../train/plan/stage.ts";
import { isEvaluation, type MetricsLine } from "../train/run/metrics.ts";
import { beginning } from "../train/run/position.ts";
import { bothCounts } from "../train/step/terms.ts";
import { UserError } from "../util/errors.ts";
import { type Json, readJsonObject } from "../util/json.ts";
import { packageVersion } from "../util/paths.ts";
import type { RunCell } from "./cells.ts";
import { keyOf } from "./identity.ts";

const flops = z.strictObject({ exact: z.number(), paper: z.number() });
const progress = { step: z.number(), tokens: z.number(), flops, seconds: z.number() };

const taskScore = z.strictObject({
  /** Of what was asked. */
  key: z.string(),
  /** Null: not a number. */
  score: z.number().nullable(),
  /** Over the seeds of the fine-tuning. */
  spread: z.number().nullable().optional(),
});

export type TaskScore = z.infer<typeof taskScore>;

const recordSchema = z.strictObject({
  format: z.literal(1),
  key: z.string(),
  title: z.string(),
  spec: z.custom<Json>((value) => typeof value === "object" && value !== null && !Array.isArray(value)),
  versions: z.strictObject({ bert2bert: z.string(), node: z.string() }),
  engine: z.string(),
  machine: z.string(),
  parameters: z.number(),
  /** Why it ended early, if it did. */
  diverged: z.string().optional(),
  /** What each stage cost, counted from the programs that ran. */
  stages: z.array(
    z.strictObject({
      name: z.string(),
      start: z.number(),
      steps: z.number(),
      tokens: z.number(),
      flops,
      seconds: z.number(),
      joules: z.number().optional(),
    }),
  ),
  /** What its model scored in the study's tasks, by their names. */
  tasks: z.record(z.string(), taskScore).optional(),
  evaluations: z.array(z.strictObject({ ...progress, stage: z.string(), loss: z.number(), accuracy: z.number() })),
  /** The training loss, the mean over each part of the run. */
  training: z.array(z.strictObject({ ...progress, loss: z.number() })),
});

export type RunRecord = z.infer<typeof recordSchema>;

/** Points of the training loss that a record keeps. */
const TRAINING_POINTS = 100;

export function recordPath(records: string, cell: RunCell): string {
  return join(records, `${cell.id}.json`);
}

/** A cell's record; undefined where there is none. @throws UserError if it is damaged, or another cell's */
export async function readRunRecord(records: string, cell: RunCell): Promise<RunRecord | undefined> {
  const path = recordPath(records, cell);
  if (!existsSync(path)) return undefined;
  const wayOut = "remove it: the run is done again, or read from its folder";
  const read = recordSchema.safeParse(await readJsonObject(path));
  if (!read.success) {
    const issue = read.error.issues[0];
    throw new UserError(`is not a run's record (\`${issue.path.join(".")}\`: ${issue.message})`, path, wayOut);
  }
  if (read.data.key !== cell.key || keyOf(read.data.spec) !== cell.key) {
    throw new UserError("its settings are not what its name says", path, wayOut);
  }
  return read.data;
}

export async function writeRunRecord(records: string, record: RunRecord, cell: RunCell): Promise<void> {
  await writeFileWhole(recordPath(records, cell), `${recordText(record)}\n`);
}

/** JSON with a line a point, so that a record can be read and a change of it shown. */
function recordText(record: RunRecord): string {
  const { stages, evaluations, training, ...head } = record;
  const list = (name: string, items: readonly object[]) =>
    `  ${JSON.stringify(name)}: [\n${items.map((item) => `    ${JSON.stringify(item)}`).join(",\n")}\n  ]`;
  const opening = JSON.stringify(head, null, 2).replace(/\n}$/, "");
  const lists = [list("stages", stages), list("evaluations", evaluations), list("training", training)];
  return `${opening},\n${lists.join(",\n")}\n}`;
}

/** A record from what a run left in its metrics. */
export function runRecord(
  cell: RunCell,
  lines: readonly MetricsLine[],
  placed: readonly Stage[],
  facts: { readonly engine: string; readonly diverged?: string },
): RunRecord {
  const training = lines.flatMap((line) => (isEvaluation(line) ? [] : [line]));
  let before: Omit<MetricsLine, "stage"> & { readonly joules?: number } = beginning;
  const stages = placed.flatMap((stage) => {
    // A stage's last step has its line.
    const last = training.filter((line) => line.step > stage.start && line.step <= stage.end).at(-1);
    if (last === undefined) return [];
    const cost = {
      name: stage.name,
      start: stage.start,
      steps: last.step - before.step,
      tokens: last.tokens - before.tokens,
      flops: bothCounts((count) => last.flops[count] - before.flops[count]),
      seconds: rounded(last.seconds - before.seconds),
      ...(last.joules === undefined ? {} : { joules: rounded(last.joules - (before.joules ?? 0)) }),
    };
    before = last;
    return [cost];
  });
  return {
    format: 1,
    key: cell.key,
    title: cell.title,
    spec: cell.spec,
    versions: { bert2bert: packageVersion(), node: process.version },
    engine: facts.engine,
    machine: `${cpus().length} × ${cpus()[0]?.model.trim() ?? "processor"}`,
    parameters: cell.parameters,
    ...(facts.diverged === undefined ? {} : { diverged: facts.diverged }),
    stages,
    evaluations: lines.flatMap((line) =>
      isEvaluation(line)
        ? [{ ...standing(line), stage: line.stage, loss: line.evaluation.loss, accuracy: line.evaluation.accuracy }]
        : [],
    ),
    training: thinned(training),
  };
}

/** Groups of neighbouring lines as one point each: where the last one stands, the mean of their losses by steps. */
function thinned(lines: readonly Exclude<MetricsLine, { evaluation: object }>[]): RunRecord["training"] {
  const groups = Math.min(TRAINING_POINTS, lines.length);
  let before = 0;
  return Array.from({ length: groups }, (_, i) => {
    const group = lines.slice(Math.floor((i * lines.length) / groups), Math.floor(((i + 1) * lines.length) / groups));
    const last = group[group.length - 1];
    let sum = 0;
    const first = before;
    for (const line of group) {
      sum += line.loss * (line.step - before);
      before = line.step;
    }
    return { ...standing(last), loss: sum / (last.step - first) };
  });
}

function standing({ step, tokens, flops, seconds }: MetricsLine) {
  return { step, tokens, flops, seconds };
}

function rounded(seconds: number): number {
  return Number(seconds.toFixed(3));
}
