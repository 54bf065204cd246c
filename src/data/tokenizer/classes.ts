/**
 * Which of transformers' tokenizer classes reads a folder, and what it makes of it.
 *
 * Since transformers 5 a class builds its tokenizer anew from the vocabulary and merges of tokenizer.json: how the class
 * and tokenizer_config.json have it counts, not tokenizer.json's own normaliser and pre-tokeniser. Only where no class is
 * named, or a general one, is tokenizer.json taken as it stands.
 * After models/auto/tokenization_auto.py and models/{bert,gpt2,roberta,gpt_neox,llama,qwen2,xlm_roberta}/tokenization_*.py
 * of transformers 5.24.
 */
import { isJsonObject, type Json } from "../../util/json.ts";
import { componentsOf } from "./check.ts";
import { bpeModel, byteLevelJson, type Parts, type Vocabulary, wordPieceJson } from "./json.ts";
import type { RoleTokens } from "./special.ts";

export interface TokenizerClass {
  readonly name: string;
  /** Other names of the same class, without `Fast`. */
  readonly aliases: readonly string[];
  /** The model types whose class it is where no file names one. */
  readonly modelTypes: readonly string[];
  /** What it is read from where there is no tokenizer.json. */
  readonly files: readonly string[];
  /** The roles' tokens where no file names others. */
  readonly tokens: RoleTokens;
  /** @param settings tokenizer_config.json's @returns tokenizer.json without added tokens */
  build(settings: Json, parts: Parts, tokens: RoleTokens): Json;
}

const words = (text: string): readonly string[] => text.split(" ");

export const bert: TokenizerClass = {
  name: "BertTokenizer",
  aliases: words(
    "DistilBertTokenizer ElectraTokenizer LayoutLMTokenizer LxmertTokenizer MobileBertTokenizer SqueezeBertTokenizer",
  ),
  modelTypes: words(
    "align bark bert blip bros chinese_clip convbert distilbert electra ernie flava git grounding-dino layoutlm megatron-bert mm-grounding-dino nezha nomic_bert qdqbert realm retribert squeezebert tvp vilt visual_bert",
  ),
  files: ["vocab.txt"],
  tokens: { cls: "[CLS]", sep: "[SEP]", mask: "[MASK]", pad: "[PAD]", unk: "[UNK]" },
  build: wordPieceJson,
};

const BYTE_LEVEL_FILES = ["vocab.json", "merges.txt"];
export const gpt2: TokenizerClass = {
  name: "GPT2Tokenizer",
  aliases: [],
  modelTypes: words(
    "blip-2 codegen dbrx emu3 gpt2 gpt_neo gptj instructblip instructblipvideo jais2 opt phi starcoder2",
  ),
  files: BYTE_LEVEL_FILES,
  tokens: { bos: "<|endoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>" },
  build: (settings, parts) => byteLevelJson(settings, parts),
};

export const roberta: TokenizerClass = {
  name: "RobertaTokenizer",
  aliases: words("BartTokenizer LEDTokenizer LongformerTokenizer MvpTokenizer"),
  modelTypes: words("bart bridgetower clap data2vec-text ibert lilt longformer mega mra roberta roberta-prelayernorm"),
  files: BYTE_LEVEL_FILES,
  tokens: { cls: "<s>", sep: "</s>", mask: "<mask>", pad: "<pad>", bos: "<s>", eos: "</s>", unk: "<unk>" },
  build: byteLevelJson,
};

const gptNeoX: TokenizerClass = {
  name: "GPTNeoXTokenizer",
  aliases: [],
  modelTypes: words("falcon_mamba gpt_neox mamba mamba2 mpt olmo olmoe rwkv xlstm"),
  files: BYTE_LEVEL_FILES,
  tokens: { ...gpt2.tokens, pad: "<|padding|>" },
  build: (settings, parts) => ({ ...byteLevelJson(settings, parts), normalizer: { type: "NFC" } }),
};

const qwen2: TokenizerClass = {
  name: "Qwen2Tokenizer",
  aliases: [],
  modelTypes: words(
    "audioflamingo3 colqwen2 internvl ovis2 qwen2 qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl qwen3 qwen3_moe qwen3_next qwen3_omni_moe qwen3_vl qwen3_vl_moe",
  ),
  files: BYTE_LEVEL_FILES,
  tokens: { eos: "<|endoftext|>", pad: "<|endoftext|>", unk: "<|endoftext|>" },
  build(settings, parts) {
    const json = byteLevelJson(settings, parts);
    const last = { ...componentsOf(json.pre_tokenizer)[0], use_regex: false };
    const split = { type: "Split", pattern: { Regex: QWEN2 }, behavior: "Isolated", invert: false };
    return {
      ...json,
      normalizer: { type: "NFC" },
      pre_tokenizer: { type: "Sequence", pretokenizers: [split, last] },
    };
  },
};
const QWEN2 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const metaspace = (scheme: string, split: boolean): Json => ({
  type: "Metaspace",
  replacement: "\u2581",
  prepend_scheme: scheme,
  split,
});

const llama: TokenizerClass = {
  name: "LlamaTokenizer",
  aliases: [],
  modelTypes: words("idefics idefics2"),
  files: [],
  tokens: { bos: "<s>", eos: "</s>", unk: "<unk>" },
  build(settings, parts) {
    const spaced = typeof settings.add_prefix_space === "boolean" ? settings.add_prefix_space : true;
    const scheme = !spaced ? "never" : settings.legacy === true ? "always" : "first";
    return { ...parts.json, normalizer: null, pre_tokenizer: metaspace(scheme, false), model: bpeModel(parts, true) };
  },
};

const xlmRoberta: TokenizerClass = {
  name: "XLMRobertaTokenizer",
  aliases: [],
  modelTypes: words("gte jina_embeddings_v3 metaclip_2 trocr xlm-roberta xmod"),
  files: [],
  tokens: roberta.tokens,
  build(settings, { json = {} }) {
    const last = metaspace(settings.add_prefix_space === false ? "never" : "always", true);
    return {
      ...json,
      normalizer: componentsOf(json.normalizer).find(({ type }) => type === "Precompiled") ?? null,
      pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, last] },
      model: { ...(isJsonObject(json.model) ? json.model : {}), type: "Unigram", unk_id: 3, byte_fallback: false },
    };
  },
};

const classes: readonly TokenizerClass[] = [bert, gpt2, roberta, gptNeoX, qwen2, llama, xlmRoberta];

/** The class that takes tokenizer.json as it stands, under the name that every version of transformers knows. */
export const GENERAL = "PreTrainedTokenizerFast";
const general: ReadonlySet<string> = new Set(
  words("TokenizersBackend PythonBackend PreTrainedTokenizer BloomTokenizer"),
);
/** Model types for which transformers takes tokenizer.json as it stands, whatever class the files name. */
const alwaysGeneral: ReadonlySet<string> = new Set(
  words(
    "ernie4_5 glm glm4 gpt_bigcode granite granitemoe internlm2 jamba minicpm3 ministral mistral mixtral modernbert modernbert-decoder nemotron nystromformer olmo2 olmo3 persimmon phi3 phimoe smolvlm stablelm xlm-roberta-xl",
  ),
);

/**
 * @param model config.json @param settings tokenizer_config.json @param json tokenizer.json, each as far as it is there
 * @returns the class, if it is one that builds its tokenizer anew; and a name that is not known here
 */
export function classOf(
  model: Json,
  settings: Json,
  json: Json | undefined,
): { readonly known?: TokenizerClass; readonly unknown?: string } {
  const named = settings.tokenizer_class ?? model.tokenizer_class;
  const type = typeof model.model_type === "string" ? model.model_type : undefined;
  if (type !== undefined && alwaysGeneral.has(type)) return {};
  const registered = classes.find((one) => type !== undefined && one.modelTypes.includes(type));
  // So many of Qwen 2's folders name another class that theirs counts.
  if (typeof named !== "string" || (type === "qwen2" && registered !== undefined)) {
    return registered !== undefined || type === undefined ? { known: registered } : otherType(type);
  }
  const name = named.replace(/Fast$/, "");
  if (general.has(name)) return {};
  const known = classes.find((one) => one.name === name || one.aliases.includes(name));
  if (known === undefined) return { unknown: `tokenizer_class ${named}` };
  // Llama 3's tokenizer is none of that class, whatever its folders say.
  return known === llama && holdsByteLevel(json) ? {} : { known };
}

/** Model types of which transformers knows no tokenizer class: tokenizer.json stands. */
function otherType(type: string): { readonly unknown?: string } {
  return type === "llama" ? {} : { unknown: `model_type ${type}` };
}

function holdsByteLevel(json: Json | undefined): boolean {
  return [json?.pre_tokenizer, json?.decoder].some((one) => componentsOf(one).some(({ type }) => type === "ByteLevel"));
}

/** The class whose files lie in a folder, where none is named. */
export function guessed(present: (file: string) => boolean, vocabulary: Vocabulary): TokenizerClass | undefined {
  if (bert.files.every(present)) return bert;
  if (!gpt2.files.every(present)) return undefined;
  return vocabulary.has("<s>") && vocabulary.has("</s>") ? roberta : gpt2;
}
