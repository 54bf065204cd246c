/** What a tokenizer has more than another one, and how that one cuts it: where the rows of new ids come from. */
import { UserError } from "../../util/errors.ts";
import { printable } from "../../util/json.ts";
import { openTokenizer } from "./tokenizer.ts";

/**
 * @param old the folder of the tokenizer there was @param now of the one that has more
 * @param rows ids that have rows already, in a tokenizer or not
 * @throws UserError if an old id is another token there
 */
export async function newTokens(old: string, now: string, rows: number) {
  const [before, after] = [await openTokenizer(old), await openTokenizer(now)];
  for (let id = 0; id < before.info.vocabulary; id++) {
    const [was, is] = [before.tokenOf(id), after.tokenOf(id)];
    if (was === is || was === undefined) continue;
    const other = is === undefined ? "none" : JSON.stringify(printable(is));
    const what = `id ${id} is the token ${JSON.stringify(printable(was))} of ${old}, and ${other} here`;
    throw new UserError(what, now, "add tokens to the tokenizer that the model has: its own must keep their ids");
  }
  const ids = Array.from({ length: Math.max(0, after.info.vocabulary - rows) }, (_, i) => rows + i);
  const found = ids.filter((id) => after.tokenOf(id) !== undefined);
  const texts = await Promise.all(found.map((id) => after.decode([id])));
  const cut = await before.encode(texts);
  /** The old ids that each new token's text is cut into, unknown ones left out; a token of which none are left is missing. */
  const pieces = new Map<number, readonly number[]>();
  found.forEach((id, i) => {
    const made = Array.from(cut.ids.subarray(i === 0 ? 0 : cut.ends[i - 1], cut.ends[i])).filter(
      (one) => one !== before.info.special.unk,
    );
    if (made.length > 0) pieces.set(id, made);
  });
  return { vocabulary: after.info.vocabulary, hash: after.info.hash, pieces };
}
