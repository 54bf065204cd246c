/**
 * What a tokenizer puts around a text, or a pair of texts, for a model: the post-processor of tokenizer.json, read as data.
 * Lineage: huggingface/tokenizers' TemplateProcessing, BertProcessing and RobertaProcessing; any other adds nothing.
 */
import { isJsonObject, type Json, type JsonValue } from "../../util/json.ts";
import { listOf } from "./special.ts";

/** Ids of special tokens, or one of the texts; and the token type of what stands there. */
export interface Piece {
  readonly of: readonly number[] | "A" | "B";
  readonly type: number;
}

export interface Template {
  readonly single: readonly Piece[];
  readonly pair: readonly Piece[];
}

const A: Piece = { of: "A", type: 0 };
const PLAIN: Template = { single: [A], pair: [A, { of: "B", type: 1 }] };

/** @param json tokenizer.json's content */
export function templateOf({ post_processor: found }: Json): Template {
  return read(found) ?? PLAIN;
}

function read(processor: JsonValue | undefined): Template | undefined {
  if (!isJsonObject(processor)) return undefined;
  const { type } = processor;
  if (type === "Sequence")
    return listOf(processor.processors)
      .map(read)
      .find((one) => one !== undefined);
  if (type === "BertProcessing" || type === "RobertaProcessing") {
    const [cls, sep] = [processor.cls, processor.sep].map((token) => Number(listOf(token)[1]));
    const second = type === "BertProcessing" ? 1 : 0;
    const [first, end] = [[cls], [sep]].map((of): Piece => ({ of, type: 0 }));
    const between = type === "BertProcessing" ? [end] : [end, end];
    const tail: readonly Piece[] = [
      { of: "B", type: second },
      { of: [sep], type: second },
    ];
    return { single: [first, A, end], pair: [first, A, ...between, ...tail] };
  }
  if (type !== "TemplateProcessing") return undefined;
  const tokens = isJsonObject(processor.special_tokens) ? processor.special_tokens : {};
  const pieces = (value: JsonValue | undefined) =>
    listOf(value).flatMap((item): readonly Piece[] => {
      if (!isJsonObject(item)) return [];
      const { Sequence: text, SpecialToken: token } = item;
      if (isJsonObject(text)) return [{ of: text.id === "B" ? "B" : "A", type: Number(text.type_id) }];
      if (!isJsonObject(token)) return [];
      const entry = tokens[String(token.id)];
      return isJsonObject(entry) ? [{ of: listOf(entry.ids).map(Number), type: Number(token.type_id) }] : [];
    });
  return { single: pieces(processor.single), pair: pieces(processor.pair) };
}

/** Ids that stand in a template for no text. */
export function addedBy(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { of }) => sum + (typeof of === "string" ? 0 : of.length), 0);
}

/** A sequence as a model takes it; `starts` says where each text begins in it. */
export function fill(
  pieces: readonly Piece[],
  texts: { readonly A: ArrayLike<number>; readonly B?: ArrayLike<number> },
): { readonly ids: number[]; readonly types: number[]; readonly starts: { A: number; B: number } } {
  const ids: number[] = [];
  const types: number[] = [];
  const starts = { A: 0, B: 0 };
  for (const { of, type } of pieces) {
    if (typeof of === "string") starts[of] = ids.length;
    const put: ArrayLike<number> = typeof of === "string" ? (texts[of] ?? []) : of;
    for (let i = 0; i < put.length; i++) {
      ids.push(put[i]);
      types.push(type);
    }
  }
  return { ids, types, starts };
}
