/**
 * Tokens that a model has no embedding for: a folder's tokenizer may be longer than its model's vocabulary. What counts
 * are the ids that texts give and the special tokens that training needs, so a blank line at the end of vocab.txt
 * matters to nobody, and a mask token added later to everybody.
 */
import { UserError } from "../../util/errors.ts";
import { printable } from "../../util/json.ts";
import { openTokenizer } from "./tokenizer.ts";

/**
 * @param vocabulary the model's @param masked whether it is trained with masks
 * @returns what should be known of the folder's tokenizer, in words; undefined: nothing, or it can't be read
 */
export async function beyondVocabulary(
  folder: string,
  vocabulary: number,
  masked: boolean,
): Promise<string | undefined> {
  const tokenizer = await openTokenizer(folder).catch((error: unknown) => {
    if (error instanceof UserError) return undefined;
    throw error;
  });
  if (tokenizer === undefined) return undefined;
  const tokens: string[] = [];
  for (let id = vocabulary; id < tokenizer.info.vocabulary; id++) tokens.push(tokenizer.tokenOf(id) ?? "");
  const named = tokens.filter((token) => token !== "").map((token) => printable(JSON.stringify(token)));
  if (named.length === 0) return undefined;
  const { cls, sep, mask, eos } = tokenizer.info.special;
  const needed = Object.entries(masked ? { cls, sep, mask } : { eos }).find(([, id = 0]) => id >= vocabulary);
  const list = named.length > 3 ? `${named.slice(0, 3).join(", ")} and ${named.length - 3} more` : named.join(", ");
  const what = `the model's vocabulary of ${vocabulary} has no entry for ${list} of its tokenizer`;
  if (needed === undefined) return `${what}: \`prepare --model\` refuses texts that hold such a token`;
  return `${what}: the ${needed[0]} token is among them, and without it nothing can be trained`;
}
