/**
 * tokenizer.json, as the tokenizers library reads it: the two kinds that BERT, RoBERTa and GPT-2 use, built from their
 * vocabularies. The same as transformers' BertTokenizer, RobertaTokenizer and GPT2Tokenizer build from theirs.
 */
import type { Json, JsonValue } from "../../util/json.ts";
import type { AddedToken } from "./special.ts";

/** Token → id. */
export type Vocabulary = ReadonlyMap<string, number>;

interface Common {
  readonly vocabulary: Vocabulary;
  readonly added: readonly AddedToken[];
  /** What stands before and after a sequence, if the vocabulary has them. */
  readonly cls?: readonly [token: string, id: number];
  readonly sep?: readonly [token: string, id: number];
}

export interface WordPieceSettings extends Common {
  readonly lowercase: boolean;
  /** null: as `lowercase` says. */
  readonly stripAccents: boolean | null;
  readonly chineseCharacters: boolean;
  readonly unknown: string;
}

export interface ByteLevelSettings extends Common {
  /** In the order in which they are applied. */
  readonly merges: readonly JsonValue[];
  readonly addPrefixSpace: boolean;
}

const written = ({ added }: Common, parts: Json): Json => ({
  version: "1.0",
  truncation: null,
  padding: null,
  added_tokens: added.map((token) => ({ ...token })),
  ...parts,
});

export function wordPieceJson(settings: WordPieceSettings): Json {
  const { cls, sep } = settings;
  return written(settings, {
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: settings.chineseCharacters,
      strip_accents: settings.stripAccents,
      lowercase: settings.lowercase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: cls !== undefined && sep !== undefined ? template(cls, sep) : null,
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: settings.unknown,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(settings.vocabulary),
    },
  });
}

export function byteLevelJson(settings: ByteLevelSettings): Json {
  const { cls, sep, addPrefixSpace } = settings;
  const byteLevel = { type: "ByteLevel", add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true };
  return written(settings, {
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor:
      cls !== undefined && sep !== undefined
        ? { type: "RobertaProcessing", sep, cls, trim_offsets: true, add_prefix_space: addPrefixSpace }
        : { ...byteLevel, trim_offsets: false },
    decoder: byteLevel,
    model: bpeModel(settings),
  });
}

/** Byte pair encoding of any kind. @param sentencePiece whether it is SentencePiece's: what has no token becomes bytes */
export function bpeModel(parts: Pick<ByteLevelSettings, "vocabulary" | "merges">, sentencePiece = false): Json {
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
function template(cls: readonly [string, number], sep: readonly [string, number]): Json {
  const token = ([id]: readonly [string, number], type: number): Json => ({ SpecialToken: { id, type_id: type } });
  const text = (id: string, type: number): Json => ({ Sequence: { id, type_id: type } });
  const entry = ([name, id]: readonly [string, number]): Json => ({ id: name, ids: [id], tokens: [name] });
  return {
    type: "TemplateProcessing",
    single: [token(cls, 0), text("A", 0), token(sep, 0)],
    pair: [token(cls, 0), text("A", 0), token(sep, 0), text("B", 1), token(sep, 1)],
    special_tokens: { [cls[0]]: entry(cls), [sep[0]]: entry(sep) },
  };
}
