/** Loss, perplexity and accuracy on the validation part: whole model, dropout off, masks and pairs that no seed changes. */
import { validationBatches } from "../data/batch/batches.ts";
import type { Dataset } from "../data/prepared/dataset.ts";
import type { Executable } from "../engine/engine.ts";
import type { Model } from "../model/architecture.ts";
import { inputsOf } from "../model/objectives.ts";
import type { Program } from "../program/graph.ts";
import type { Evaluated } from "./run/metrics.ts";
import type { EvaluationForm } from "./run/setup.ts";
import { batchInputs } from "./step/inputs.ts";
import { buildEvaluation } from "./step/step.ts";

export function evaluationProgram(model: Model, form: EvaluationForm): Program {
  const { objective, batch, length, perSequence } = form;
  const documents = batch.documents === "apart";
  return buildEvaluation(model, { ...inputsOf(objective), documents, batch: batch.sequences, length, perSequence });
}

/** Runs it over the validation part. @param stop asked between batches; true ends it @returns undefined if stopped */
export async function runEvaluation(
  executable: Executable,
  dataset: Dataset,
  form: EvaluationForm,
  stop: () => boolean = () => false,
): Promise<Evaluated | undefined> {
  let loss = 0;
  let correct = 0;
  let tokens = 0;
  const next = { loss: 0, correct: 0, pairs: 0 };
  const batches = validationBatches(dataset, form);
  let following = batches.next();
  while (following.done !== true) {
    const batch = following.value;
    const running = executable.run(batchInputs(batch));
    following = batches.next();
    const sums = await running;
    loss += sums.loss[0];
    correct += sums.correct[0];
    if (batch.nsp !== undefined) {
      next.loss += sums.nsp[0];
      next.correct += sums.nsp_correct[0];
      next.pairs += batch.examples.length;
    }
    tokens += batch.weights.reduce((count, weight) => count + (weight > 0 ? 1 : 0), 0);
    if (stop()) return undefined;
  }
  const mean = loss / tokens;
  // JSON has no infinity.
  const perplexity = Math.min(Math.exp(mean), Number.MAX_VALUE);
  return {
    loss: mean,
    perplexity,
    accuracy: correct / tokens,
    tokens,
    ...(next.pairs === 0
      ? {}
      : { next_sentence: { loss: next.loss / next.pairs, accuracy: next.correct / next.pairs } }),
  };
}
