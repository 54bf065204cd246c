/**
 * The losses of pre-training, as programs: masked language model, the same with next sentence, causal language model.
 *
 * A masked model's head runs at the masked positions alone, and so does what of the last block only they read. The
 * weights of the positions are given with the batch, divided by all that the step counts, so losses and gradients of
 * accumulated micro-batches add up to those of the whole.
 */
import type { ProgramBuilder } from "../program/builder.ts";
import { type DType, ProgramError, type Value } from "../program/graph.ts";
import { add, argmax, crossEntropy, equal, mul, positive, reduceSum, reshape, slice } from "../program/ops/index.ts";
import type { Model, ModelSettings } from "./architecture.ts";
import { forward } from "./forward.ts";

export type Objective = "mlm" | "mlm+nsp" | "clm";

export const objectives: readonly Objective[] = ["mlm", "mlm+nsp", "clm"];

/** The heads' losses that make up an objective, as `Architecture.objectives` names them. */
export function termsOf(objective: Objective): readonly string[] {
  return objective.split("+");
}

/** Which inputs a batch of an objective has beside ids, labels and weights. */
export function inputsOf(objective: Objective): Pick<LossOptions, "objective" | "types" | "mask"> {
  const pairs = termsOf(objective).includes("nsp");
  return { objective, types: pairs, mask: pairs };
}

/** Whether a model can be trained for an objective. */
export function supports(model: Model, objective: Objective): boolean {
  const known = model.architecture.objectives(model.outputs);
  return termsOf(objective).every((term) => known.includes(term));
}

/** What the Hub calls the use of a model's language-model head; undefined without one. */
export function pipelineOf(model: Model): string | undefined {
  if (supports(model, "clm")) return "text-generation";
  return supports(model, "mlm") ? "fill-mask" : undefined;
}

export interface LossOptions {
  readonly objective: Objective;
  /** Sequences. */
  readonly batch: number;
  /** Tokens a sequence. */
  readonly length: number;
  /** Masked positions a sequence; not read for `clm`. */
  readonly perSequence: number;
  /** Blocks that run, from the bottom; default all. */
  readonly layers?: number;
  /** The lowest block that trains; default 0. */
  readonly trainFrom?: number;
  /** Rates; the program then has the input `key`. Absent: off. */
  readonly dropout?: ModelSettings["dropout"];
  /** Whether the program has the input `types`; default no. */
  readonly types?: boolean;
  /** Whether the program has the input `mask` (1 at a token, 0 at padding, which ends a sequence); default no. */
  readonly mask?: boolean;
  /** Whether the program has the inputs `documents` and, but for `clm`, `gathered_documents`; default no. */
  readonly documents?: boolean;
}

export interface Loss {
  /** The sum over all terms: Σ weight · cross-entropy, []. */
  readonly loss: Value;
  /** The language model's term alone, []. */
  readonly lm: Value;
  /** How many positions of weight above 0 have the label as their most probable token, []. */
  readonly correct: Value;
  /** The next-sentence term alone, and how many pairs of weight above 0 are told rightly, [] each. */
  readonly nsp?: { readonly loss: Value; readonly correct: Value };
}

/**
 * Builds forward pass and loss. Declares the inputs `ids` i32 [batch · length]; `labels` i32 and `weights` f32, one a
 * position that is predicted: [batch · perSequence] with `gather` i32 of the same shape (flat indices into
 * batch · length, sequence by sequence), or [batch · length] for `clm`; for next sentence `nsp_labels` i32 and
 * `nsp_weights` f32 [batch]; where asked for `types` i32 and `mask` f32 [batch · length], `documents` i32 [batch · length] with `gathered_documents`
 * [batch · perSequence], and `key` i32 [2] = (seed, step).
 * The parameters are states under their names.
 */
export function buildLoss(b: ProgramBuilder, model: Model, options: LossOptions): Loss {
  const { objective, batch, length, perSequence } = options;
  if (!supports(model, objective)) throw new ProgramError(`the model has no heads for ${objective}`);
  const causal = objective === "clm";
  const nsp = objective === "mlm+nsp";
  const tokens = batch * length;
  if (nsp && options.documents) throw new ProgramError("sentence pairs come from two documents each");
  const predictions = batch * perSequence;
  const input = (name: string, count: number, dtype?: DType) => b.input(name, [count], dtype, batch);
  const documents = options.documents
    ? {
        all: input("documents", tokens, "i32"),
        gathered: causal ? undefined : input("gathered_documents", predictions, "i32"),
      }
    : undefined;
  const inputs = {
    documents,
    ids: input("ids", tokens, "i32"),
    types: options.types ? input("types", tokens, "i32") : undefined,
    mask: options.mask ? input("mask", tokens) : undefined,
    prefix: true,
    gather: causal ? undefined : input("gather", predictions, "i32"),
  };
  const { hidden, lmLogits, pooled, nspLogits } = forward(b, model, inputs, {
    batch,
    length,
    layers: options.layers,
    trainFrom: options.trainFrom,
    keepFirst: nsp,
    dropout: options.dropout === undefined ? undefined : { rates: options.dropout, key: b.input("key", [2], "i32") },
  });
  const last = hidden[hidden.length - 1];
  const width = last.shape[1];
  const bySequence = nsp ? reshape(b, last, [batch, 1 + perSequence, width]) : undefined;
  const rows =
    bySequence === undefined
      ? last
      : reshape(b, slice(b, bySequence, 1, 1, 1 + perSequence), [batch * perSequence, width]);

  const predicted = rows.shape[0];
  const labels = input("labels", predicted, "i32");
  const lm = term(b, lmLogits(rows), labels, input("weights", predicted));
  if (bySequence === undefined) return { loss: lm.loss, lm: lm.loss, correct: lm.correct };

  const first = reshape(b, slice(b, bySequence, 1, 0, 1), [batch, width]);
  const nspLabels = input("nsp_labels", batch, "i32");
  const next = term(b, nspLogits(pooled(first)), nspLabels, input("nsp_weights", batch));
  return { loss: add(b, lm.loss, next.loss), lm: lm.loss, correct: lm.correct, nsp: next };
}

/** Σ weight · cross-entropy, and how many rows of weight above 0 have the label as their largest logit. */
function term(b: ProgramBuilder, logits: Value, labels: Value, weights: Value): { loss: Value; correct: Value } {
  const { loss } = crossEntropy(b, logits, labels, weights);
  const correct = reduceSum(b, mul(b, equal(b, argmax(b, logits), labels), positive(b, weights)), [0]);
  return { loss, correct };
}
