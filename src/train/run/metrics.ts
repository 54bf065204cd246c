/**
 * `metrics.jsonl`: a line a log interval and at the end of a stage, and one an evaluation, in the order they happened.
 *
 * A training line: step (steps done), stage, layers and trained (of the last step's sub-model), tokens and flops so far,
 * loss (mean over the interval's steps; with sentence pairs also terms: {mlm, nsp, nsp_accuracy}), rate and gradient_norm
 * (of the last step), tokens_per_second, seconds (spent training so far, evaluations and checkpoints left out) and, where
 * the machine tells it, joules (what the processor took meanwhile). An
 * evaluation line: step, stage, tokens, flops, seconds, and evaluation: {loss, perplexity, accuracy, tokens}, with sentence
 * pairs also next_sentence: {loss, accuracy}; of a model grown in width also symmetry (symmetry.ts). Everything but
 * tokens_per_second, seconds and joules repeats from run to run. Beside it the same as TensorBoard reads it (events.ts).
 */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileWhole } from "../../store/files.ts";
import { type AppendedFile, appendTo } from "../../store/output.ts";
import { UserError } from "../../util/errors.ts";
import { ifThere } from "../../util/system.ts";
import type { FlopsSoFar } from "../step/terms.ts";
import { eventOf, eventsFile, eventsHeader } from "./events.ts";

export interface Progressed {
  readonly step: number;
  readonly stage: string;
  readonly tokens: number;
  readonly flops: FlopsSoFar;
  readonly seconds: number;
}

export interface TrainingLine extends Progressed {
  readonly layers: number;
  readonly trained: number;
  readonly loss: number;
  /** What the loss is the sum of, and the share of the pairs that were told rightly. */
  readonly terms?: { readonly mlm: number; readonly nsp: number; readonly nsp_accuracy: number };
  readonly rate: number;
  readonly gradient_norm: number;
  /** Of the processor, spent training so far; absent where the machine does not tell. */
  readonly joules?: number;
  readonly tokens_per_second: number;
}

export interface Evaluated {
  /** Nats a predicted token: the language model's, whatever else the objective has. */
  readonly loss: number;
  readonly perplexity: number;
  /** Share of the predicted tokens whose label is the most probable one. */
  readonly accuracy: number;
  /** Predicted tokens. */
  readonly tokens: number;
  /** Nats a sentence pair, and the share of the pairs that were told rightly. */
  readonly next_sentence?: { readonly loss: number; readonly accuracy: number };
}

export interface EvaluationLine extends Progressed {
  readonly evaluation: Evaluated;
  /** By layer, bottom to top: the mean cosine between the weights of copies and of what they are copies of. */
  readonly symmetry?: readonly (number | null)[];
}

export type MetricsLine = TrainingLine | EvaluationLine;

/** The open file. Lines are appended; what a checkpoint counts is synced before it. */
export class Metrics {
  readonly path: string;
  /** Written so far, those of earlier sessions included. */
  lines: number;
  readonly #files: readonly AppendedFile[];

  /** @param files the metrics' and the events'; none in a process that only counts the lines which another writes */
  constructor(path: string, lines: number, files: readonly AppendedFile[] = []) {
    this.path = path;
    this.lines = lines;
    this.#files = files;
  }

  async add(line: MetricsLine): Promise<void> {
    const [file, events] = this.#files;
    await file?.append(`${JSON.stringify(line)}\n`);
    await events?.append(eventOf(line));
    this.lines++;
  }

  async sync(): Promise<void> {
    await this.#files.at(0)?.sync();
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close();
  }
}

/**
 * Opens the file with its first `keep` lines; what stands after them belongs to steps that are done anew.
 * @param from whose lines they are: those of another run, where this one carries that further
 * @throws UserError if fewer are there, or one of them is damaged
 */
export async function openMetrics(path: string, keep: number, from = path): Promise<Metrics> {
  const text = await ifThere(readFile(from, "utf8"), "");
  const lines = text.split("\n").slice(0, -1).slice(0, keep);
  const parsed = lines.map((line, i) => parseLine(line, i, from));
  if (lines.length < keep) {
    const what = `it holds ${lines.length} lines, and the checkpoint counts ${keep}`;
    throw new UserError(what, from, "put back the file as it was, or begin the run anew in another folder");
  }
  const kept = lines.map((line) => `${line}\n`).join("");
  if (kept !== text || from !== path) await writeFileWhole(path, kept);
  const events = join(dirname(path), eventsFile);
  await writeFileWhole(events, Buffer.concat([eventsHeader(), ...parsed.map(eventOf)]));
  return new Metrics(path, lines.length, [await appendTo(path), await appendTo(events)]);
}

/** The lines of a metrics file; a torn last one is left out. @throws UserError if another one is damaged */
export async function readMetrics(path: string): Promise<readonly MetricsLine[]> {
  const text = await ifThere(readFile(path, "utf8"), "");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line, i) => parseLine(line, i, path));
}

function parseLine(line: string, i: number, path: string): MetricsLine {
  try {
    return JSON.parse(line);
  } catch {
    throw new UserError("the line is damaged", `${path}:${i + 1}`, "put back the file as it was");
  }
}

export function isEvaluation(line: MetricsLine): line is EvaluationLine {
  return "evaluation" in line;
}
