/** Batches as the inputs of a program. */
import type { Batch } from "../../data/batch/batch.ts";
import type { TensorData } from "../../engine/engine.ts";

/** @param key (seed, number of the micro-batch in the run), where the program has dropout */
export function batchInputs(batch: Batch, key?: Int32Array): Record<string, TensorData> {
  const { ids, types, mask, documents, gatheredDocuments, gather, labels, weights, nsp } = batch;
  return {
    ids,
    labels,
    weights,
    ...(types === undefined ? {} : { types }),
    ...(mask === undefined ? {} : { mask }),
    ...(documents === undefined ? {} : { documents }),
    ...(gatheredDocuments === undefined ? {} : { gathered_documents: gatheredDocuments }),
    ...(gather === undefined ? {} : { gather }),
    ...(nsp === undefined ? {} : { nsp_labels: nsp.labels, nsp_weights: nsp.weights }),
    ...(key === undefined ? {} : { key }),
  };
}

/** The key of a micro-batch's dropout: no two of a run share one. */
export function dropoutKey(seed: number, step: number, micro: number, accumulate: number): Int32Array {
  return Int32Array.of(seed, step * accumulate + micro);
}

/** A run's inputs by step and micro-batch. Those of one step's first may be made before they are asked for. */
export function feedOf<I>(make: (step: number, micro: number) => I) {
  let made: { readonly step: number; readonly inputs: I } | undefined;
  return {
    get: (step: number, micro: number): I => (made?.step === step && micro === 0 ? made.inputs : make(step, micro)),
    prepare(step: number): void {
      if (made?.step !== step) made = { step, inputs: make(step, 0) };
    },
  };
}
