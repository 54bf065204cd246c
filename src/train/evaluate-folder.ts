/** Evaluating a model folder on prepared data. */
import { availableParallelism } from "node:os";
import { dataSize } from "../data/batch/batches.ts";
import { openDataset } from "../data/prepared/dataset.ts";
import { openEngine } from "../engine/engines.ts";
import type { Model } from "../model/architecture.ts";
import { openModel } from "../model/load.ts";
import { type Objective, objectives, supports } from "../model/objectives.ts";
import { parameterCount } from "../model/table.ts";
import { workingBytes } from "../program/memory.ts";
import { keeping } from "../util/closing.ts";
import { suggestion, UserError } from "../util/errors.ts";
import { checkMemory } from "../util/memory.ts";
import { evaluationProgram, runEvaluation } from "./evaluate.ts";
import type { Evaluated } from "./run/metrics.ts";
import { checkFit, type EvaluationForm, tokenizerOf } from "./run/setup.ts";
import { writeParameters } from "./step/state.ts";

export interface EvaluateOptions {
  /** Default: what the model has a head for. */
  readonly objective?: string;
  /** Sequences of a batch. */
  readonly sequences: number;
  readonly masked: number;
  /** As a run's `batch.documents`. */
  readonly documents?: string;
  readonly engine: string;
  /** Default: all processors. */
  readonly threads?: number;
  readonly progress?: (done: number, all: number) => void;
}

/** @throws UserError if model and data do not belong together */
export async function evaluateFolder(folder: string, data: string, options: EvaluateOptions): Promise<Evaluated> {
  await using keep = keeping();
  const dataset = keep(await openDataset(data));
  const { model, weights } = keep(await openModel(folder));
  const objective = objectiveOf(model, folder, options.objective);
  const fitting = await checkFit(model, folder, dataset, objective, await tokenizerOf(folder, dataset));
  const documents = documentsOf(options.documents);
  const batch = { sequences: options.sequences, accumulate: 1, masked: options.masked, documents };
  const { perSequence, validationSequences } = dataSize(dataset, objective, batch);
  const form: EvaluationForm = { objective, batch, length: dataset.info.length, perSequence };
  const program = evaluationProgram(model, form);
  const wayOut = "lower --sequences, or free memory";
  checkMemory(4 * parameterCount(model.parameters) + workingBytes(program), "the evaluation", folder, wayOut);
  const threads = options.threads ?? availableParallelism();
  const engine = keep(await openEngine({ kind: options.engine, threads, precision: "f32" }));
  await writeParameters(engine, model, weights, folder);
  const executable = await engine.compile(program);
  let batches = 0;
  const result = await runEvaluation(executable, fitting, form, () => {
    options.progress?.(Math.min(++batches * options.sequences, validationSequences), validationSequences);
    return false;
  });
  if (result === undefined) throw new Error("an evaluation that nobody stopped ended early");
  return result;
}

function documentsOf(asked: string | undefined): "joined" | "apart" | undefined {
  if (asked === undefined || asked === "joined" || asked === "apart") return asked;
  throw new UserError(`documents can't be \`${asked}\``, "--documents", suggestion(asked, ["joined", "apart"]));
}

function objectiveOf(model: Model, folder: string, asked: string | undefined): Objective {
  if (asked !== undefined) {
    const objective = objectives.find((known) => known === asked);
    if (objective !== undefined) return objective;
    throw new UserError(`there is no objective \`${asked}\``, "--objective", suggestion(asked, objectives));
  }
  const objective = objectives.find((known) => supports(model, known));
  if (objective !== undefined) return objective;
  throw new UserError("the model has no language-model head", folder, "evaluate one that has");
}
