/**
 * Special tokens: which roles there are, and where a tokenizer's folder says which token plays one.
 */
import { isJsonObject, type Json, type JsonValue } from "../../util/json.ts";

/** Roles as transformers' special_tokens_map.json names them, without `_token`. */
export const roles = ["cls", "sep", "mask", "pad", "bos", "eos", "unk"] as const;
export type Role = (typeof roles)[number];

/** What a role's token is called where no file says so: BERT's names, then RoBERTa's, then GPT-2's. */
const known: Readonly<Record<Role, readonly string[]>> = {
  cls: ["[CLS]", "<s>"],
  sep: ["[SEP]", "</s>"],
  mask: ["[MASK]", "<mask>"],
  pad: ["[PAD]", "<pad>"],
  bos: ["<s>", "<|endoftext|>"],
  eos: ["</s>", "<|endoftext|>"],
  unk: ["[UNK]", "<unk>", "<|endoftext|>"],
};

/** A token that is found in the text before anything else happens to it, as tokenizer.json describes it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** A special token that strips nothing and is never normalised. */
export function specialToken(id: number, content: string): AddedToken {
  return { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
}

/**
 * The token of each role.
 * @param files special_tokens_map.json and tokenizer_config.json, as far as they are there, in this order
 * @param has whether a token is there to play a role
 */
export function tokensByRole(
  files: readonly Json[],
  has: (token: string) => boolean,
): Readonly<Partial<Record<Role, string>>> {
  const found: Partial<Record<Role, string>> = {};
  for (const role of roles) {
    const named = files.map((file) => contentOf(file[`${role}_token`]));
    const token = [...named, ...known[role]].find((name) => name !== undefined && has(name));
    if (token !== undefined) found[role] = token;
  }
  return found;
}

/** A token written as a string or as an object with its `content`. */
export function contentOf(value: JsonValue | undefined): string | undefined {
  if (typeof value === "string") return value;
  return isJsonObject(value) && typeof value.content === "string" ? value.content : undefined;
}

/** An added token as tokenizer.json or tokenizer_config.json's added_tokens_decoder writes it. */
export function addedToken(id: number, value: Json): AddedToken | undefined {
  const content = contentOf(value);
  if (content === undefined) return undefined;
  const flag = (key: string) => value[key] === true;
  return {
    id,
    content,
    single_word: flag("single_word"),
    lstrip: flag("lstrip"),
    rstrip: flag("rstrip"),
    normalized: flag("normalized"),
    special: flag("special"),
  };
}
