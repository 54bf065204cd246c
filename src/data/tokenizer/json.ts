/**
 * tokenizer.json, as the tokenizers library reads it: the two kinds that BERT, RoBERTa and GPT-2 use, built from their
 * vocabularies. The same as transformers' BertTokenizer, RobertaTokenizer and GPT2Tokenizer build from theirs.
 */
import type { Json, JsonValue } from "../../util/json.ts";
import type { RoleTokens } from "./special.ts";

/** Token → id. */
export type Vocabulary = ReadonlyMap<string, number>;

/** What a tokenizer is built from. */
export interface Parts {
  readonly vocabulary: Vocabulary;
  /** In the order in which they are applied. */
  readonly merges: readonly JsonValue[];
  /** tokenizer.json, if there is one. */
  readonly json?: Json;
}

type Token = readonly [token: string, id: number];

/** What stands before and after a sequence; undefined where the vocabulary has none. */
function around(
  { vocabulary }: Parts,
  { cls = "", sep = "" }: RoleTokens,
): Readonly<Record<"cls" | "sep", Token>> | undefined {
  const [first, last] = [vocabulary.get(cls), vocabulary.get(sep)];
  return first === undefined || last === undefined ? undefined : { cls: [cls, first], sep: [sep, last] };
}

const written = (parts: Json): Json => ({
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: [],
  ...parts,
});

/** @param settings tokenizer_config.json's @returns tokenizer.json without added tokens */
export function wordPieceJson(settings: Json, parts: Parts, roles: RoleTokens): Json {
  const ends = around(parts, roles);
  return written({
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: settings.tokenize_chinese_chars !== false,
      strip_accents: typeof settings.strip_accents === "boolean" ? settings.strip_accents : null,
      lowercase: settings.do_lower_case !== false,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: ends === undefined ? null : template(ends.cls, ends.sep),
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: roles.unk ?? "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(parts.vocabulary),
    },
  });
}

/** As wordPieceJson. */
export function byteLevelJson(settings: Json, parts: Parts, roles: RoleTokens = {}): Json {
  const spaced = settings.add_prefix_space === true;
  const byteLevel = { type: "ByteLevel", add_prefix_space: spaced, trim_offsets: true, use_regex: true };
  const ends = around(parts, roles);
  return written({
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor:
      ends === undefined
        ? { ...byteLevel, trim_offsets: false }
        : { type: "RobertaProcessing", sep: ends.sep, cls: ends.cls, trim_offsets: true, add_prefix_space: spaced },
    decoder: byteLevel,
    model: bpeModel(parts),
  });
}

/** Byte pair encoding of any kind. @param sentencePiece whether it is SentencePiece's: what has no token becomes bytes */
export function bpeModel(parts: Parts, sentencePiece = false): Json {
  return {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: "",
    end_of_word_suffix: "",
    fuse_unk: sentencePiece,
    byte_fallback: sentencePiece,
    ignore_merges: false,
    vocab: Object.fromEntries(parts.vocabulary),
    merges: parts.merges,
  };
}

/** BERT's `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`, the second of type 1. */
function template(cls: Token, sep: Token): Json {
  const token = ([id]: Token, type: number): Json => ({ SpecialToken: { id, type_id: type } });
  const text = (id: string, type: number): Json => ({ Sequence: { id, type_id: type } });
  const entry = ([name, id]: Token): Json => ({ id: name, ids: [id], tokens: [name] });
  return {
    type: "TemplateProcessing",
    single: [token(cls, 0), text("A", 0), token(sep, 0)],
    pair: [token(cls, 0), text("A", 0), token(sep, 0), text("B", 1), token(sep, 1)],
    special_tokens: { [cls[0]]: entry(cls), [sep[0]]: entry(sep) },
  };
}
