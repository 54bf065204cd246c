/** What a masked model puts in a text's gaps: the most probable tokens at each mask, as transformers' fill-mask pipeline. */
import { fill } from "../data/tokenizer/template.ts";
import { UserError } from "../util/errors.ts";
import { bucketOf, compileAt, inputsAt } from "./forward.ts";
import { openLanguageModel, room, type UseOptions } from "./model.ts";

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
export async function fillMask(
  folder: string,
  texts: readonly string[],
  { top = 5, ...options }: UseOptions & { readonly top?: number } = {},
): Promise<readonly Filled[]> {
  const wayOut = "`bert2bert sample` is for causal models";
  const lm = await openLanguageModel(folder, options, { objective: "mlm", wayOut });
  try {
    const { mask } = lm.tokenizer.info.special;
    if (mask === undefined)
      throw new UserError("its tokenizer has no mask token", folder, "name one in tokenizer_config.json");
    const { vocab, positions } = lm.model.dimensions;
    const where = (i: number) => `text ${i + 1}`;
    const filled: Filled[] = [];
    for (const [i, own] of (await lm.encode(texts, where)).entries()) {
      if (own.length > room(lm)) {
        throw new UserError(`${own.length} tokens, and the model takes ${room(lm)}`, where(i), "give a shorter text");
      }
      const { ids } = fill(lm.template.single, { A: own });
      const at = ids.flatMap((id, place) => (id === mask ? [place] : []));
      if (at.length === 0)
        throw new UserError("it has no mask", where(i), `write ${lm.tokenizer.tokenOf(mask)} for each gap`);
      const length = bucketOf(ids.length, positions);
      const shape = { batch: 1, length, wanted: bucketOf(at.length, length) };
      const program = await compileAt(lm, shape, (b, logits) => b.output("logits", logits));
      const { logits } = await program.run(inputsAt(lm.model, [{ ids, at }], shape));
      await program.release();
      const masks: Guess[][] = [];
      for (let gap = 0; gap < at.length; gap++) {
        const row = Float64Array.from(logits.subarray(gap * vocab, (gap + 1) * vocab));
        const largest = row.reduce((most, logit) => Math.max(most, logit));
        const sum = row.reduce((all, logit) => all + Math.exp(logit - largest), 0);
        const best = Array.from(row, (logit, id) => ({ id, score: Math.exp(logit - largest) / sum }));
        best.sort((a, b) => b.score - a.score || a.id - b.id);
        const named = best
          .slice(0, top)
          .map(async ({ id, score }) => ({ id, token: await lm.tokenizer.decode([id]), score }));
        masks.push(await Promise.all(named));
      }
      filled.push({ text: texts[i], masks });
    }
    return filled;
  } finally {
    await lm.close();
  }
}
