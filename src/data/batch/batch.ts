/**
 * What a batch is: its shape, its arrays, and how many tokens of a sequence come from the data and are predicted.
 */
import { type Objective, termsOf } from "../../model/objectives.ts";
import type { Dataset } from "../prepared/dataset.ts";
import { maskedCount } from "./masking.ts";

export interface BatchShape {
  /** Sequences of a micro-batch. */
  readonly sequences: number;
  /** Micro-batches of a step. */
  readonly accumulate: number;
  /** Share of the maskable tokens that is predicted (masked objectives). */
  readonly masked: number;
  /** Whether a sequence's documents see each other; default joined. */
  readonly documents?: "joined" | "apart";
}

/** One micro-batch of B sequences of T tokens; row-major. */
export interface Batch {
  /** [B · T] */
  readonly ids: Int32Array;
  /** Pairs: 0 for A and what stands before it, 1 for B: [B · T] */
  readonly types?: Int32Array;
  /** Pairs: 1 at a token, 0 at padding: [B · T] */
  readonly mask?: Float32Array;
  /** Masked: the flat positions in [B · T] that are predicted, `perSequence` of each sequence, not descending: [B · P]. */
  readonly gather?: Int32Array;
  /** The token at each gathered position, or at each position: [B · P] or [B · T]. */
  readonly labels: Int32Array;
  /**
   * As labels. In training 1 / (what the whole step counts), so that losses and gradients of micro-batches just add; in
   * validation 1. Where nothing is to be predicted: 0.
   */
  readonly weights: Float32Array;
  /** Documents apart: which of its sequence's a token belongs to, from 0, [B · T]; and for masked the gathered ones, [B · P]. */
  readonly documents?: Int32Array;
  readonly gatheredDocuments?: Int32Array;
  /** Pairs: 0 where B follows A, 1 where it does not (as transformers labels them), and weights as above: [B] each. */
  readonly nsp?: { readonly labels: Int32Array; readonly weights: Float32Array };
  /** B · T, without the rows that fill up a last batch. */
  readonly tokens: number;
  /** The part's sequences in the batch, those that fill it up left out. */
  readonly examples: readonly number[];
}

/** Tokens of a sequence that come from the flat file. */
export function bodyLength(dataset: Dataset, objective: Objective): number {
  return bodyOf(dataset.info.length, objective);
}

/** Tokens of a sequence of `length` that are neither [CLS] nor [SEP]. */
function bodyOf(length: number, objective: Objective): number {
  if (objective === "clm") return length;
  return length - (hasPairs(objective) ? 3 : 2);
}

/** How many positions of a full sequence are predicted: what one has at most, and a program is built for. */
export function predictedOf(length: number, objective: Objective, masked: number): number {
  return objective === "clm" ? length - 1 : maskedCount(masked, bodyOf(length, objective));
}

export function hasPairs(objective: Objective): boolean {
  return termsOf(objective).includes("nsp");
}
