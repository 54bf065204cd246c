/**
 * What a tokenizer puts before a text, and before what follows an added token: byte-level BPE may begin with a space,
 * SentencePiece's with ▁, always (Prepend), unless one is there (Metaspace `always`), or at the very start (`first`).
 * It is put there by us, and the library is asked without it, so that a text can be cut.
 * Lineage: huggingface/tokenizers, normalizers/prepend.rs, pre_tokenizers/{metaspace,byte_level}.rs.
 */
import { isJsonObject, type Json } from "../../util/json.ts";
import { componentsOf } from "./check.ts";

export interface Prefix {
  /** @param first whether nothing stands before it @param begins how it begins, normalised */
  put(segment: string, first: boolean, begins: string): string;
  /** The tokenizer that puts none. */
  readonly without: Json;
}

/** @returns undefined where nothing is put, or pieces get it in the library as the whole text does */
export function prefixOf(json: Json): Prefix | undefined {
  const { pre_tokenizer: before, normalizer } = json;
  const prepends = componentsOf(normalizer).find(({ type }) => type === "Prepend");
  const rest = componentsOf(normalizer).filter((one) => one !== prepends);
  const type = isJsonObject(before) ? before.type : undefined;
  const normal = { ...json, normalizer: rest.length === 0 ? null : { type: "Sequence", normalizers: rest } };
  if (isJsonObject(before) && type === "ByteLevel" && before.add_prefix_space === true) {
    const without = { ...json, pre_tokenizer: { ...before, add_prefix_space: false } };
    return { put: (segment, _, begins) => (begins.startsWith(" ") ? segment : ` ${segment}`), without };
  }
  const without =
    isJsonObject(before) && type === "Metaspace"
      ? { ...normal, pre_tokenizer: { ...before, prepend_scheme: "never", add_prefix_space: false } }
      : normal;
  if (prepends !== undefined) return { put: (segment) => `${prepends.prepend}${segment}`, without };
  if (!isJsonObject(before) || type !== "Metaspace" || before.prepend_scheme === "never") return undefined;
  const put = (segment: string, first: boolean, begins: string) =>
    /^[ ▁]/.test(begins) || (before.prepend_scheme === "first" && !first) ? segment : `▁${segment}`;
  return { put, without };
}
