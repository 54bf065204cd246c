/** Documents kept apart: which document of its sequence a token belongs to, told by the separators between them. */
import type { Dataset } from "../prepared/dataset.ts";

/** Numbers the documents of a sequence, ids `start` to `end`: one ends with its separator. */
export function numberDocuments(
  into: Int32Array,
  ids: Int32Array,
  start: number,
  end: number,
  separator: number,
): void {
  let document = 0;
  for (let i = start; i < end; i++) {
    into[i] = document;
    if (ids[i] === separator) document++;
  }
}

/** What ends a document, where a batch keeps them apart. */
export function separatorOf(
  dataset: Dataset,
  { documents }: { readonly documents?: "joined" | "apart" },
): number | undefined {
  return documents === "apart" ? dataset.info.separator : undefined;
}
