/** What a masked model puts in a text's gaps: the most probable tokens at each mask, as transformers' fill-mask pipeline. */
import { fill } from "../data/tokenizer/template.ts";
import { UserError } from "../util/errors.ts";
import { bucketOf, logitsAt, ranked } from "./forward.ts";
import { encodeFor, type LanguageModel, maskOf, room, type UseOptions, withLanguageModel } from "./model.ts";

export interface Guess {
  readonly id: number;
  readonly token: string;
  /** Its probability. */
  readonly score: number;
}

export interface Filled {
  readonly text: string;
  /** For each mask, from the left, the most probable tokens, best first. */
  readonly masks: readonly (readonly Guess[])[];
}

/** @param top how many for each mask @throws UserError for a text without a mask, or longer than the model takes */
export function fillMask(
  folder: string,
  texts: readonly string[],
  { top = 5, ...options }: UseOptions & { readonly top?: number } = {},
): Promise<readonly Filled[]> {
  const only = { objective: "mlm", wayOut: "`bert2bert sample` is for causal models" } as const;
  return withLanguageModel(folder, options, (lm) => fillMasks(lm, texts, top), only);
}

async function fillMasks(lm: LanguageModel, texts: readonly string[], top: number): Promise<readonly Filled[]> {
  const mask = maskOf(lm);
  const { vocab, positions } = lm.model.dimensions;
  const where = (i: number) => `text ${i + 1}`;
  const filled: Filled[] = [];
  for (const [i, own] of (await encodeFor(lm, texts, where)).entries()) {
    if (own.length > room(lm)) {
      throw new UserError(`${own.length} tokens, and the model takes ${room(lm)}`, where(i), "give a shorter text");
    }
    const { ids } = fill(lm.template.single, { A: own });
    const at = ids.flatMap((id, place) => (id === mask ? [place] : []));
    if (at.length === 0)
      throw new UserError("it has no mask", where(i), `write ${lm.tokenizer.tokenOf(mask)} for each gap`);
    const length = bucketOf(ids.length, positions);
    const logits = await logitsAt(lm, [{ ids, at }], { batch: 1, length, wanted: bucketOf(at.length, length) });
    const masks = at.map(async (_, gap) => {
      const best = ranked(logits.subarray(gap * vocab, (gap + 1) * vocab)).slice(0, top);
      const tokens = best.map(({ id }) => lm.tokenizer.decode([id]));
      return (await Promise.all(tokens)).map((token, j) => ({ id: best[j].id, token, score: best[j].probability }));
    });
    filled.push({ text: texts[i], masks: await Promise.all(masks) });
  }
  return filled;
}
