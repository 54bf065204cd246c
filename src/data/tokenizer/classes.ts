/**
 * Which of transformers' tokenizer classes reads a folder, and what it makes of it.
 *
 * Since transformers 5 a class builds its tokenizer anew from the vocabulary and merges of tokenizer.json: how the class
 * and tokenizer_config.json have it counts, not tokenizer.json's own normaliser and pre-tokeniser. Only where no class is
 * named, or a general one, is tokenizer.json taken as it stands.
 * After models/auto/tokenization_auto.py and models/{bert,gpt2,roberta}/tokenization_*.py of transformers 5.24.
 */
import type { Json, JsonValue } from "../../util/json.ts";
import { byteLevelJson, type Vocabulary, wordPieceJson } from "./json.ts";
import type { Role } from "./special.ts";

/** What a class builds its tokenizer from. */
export interface Parts {
  readonly vocabulary: Vocabulary;
  readonly merges: readonly JsonValue[];
}

export interface TokenizerClass {
  readonly name: string;
  /** Other names of the same class, without `Fast`. */
  readonly aliases: readonly string[];
  /** The model types whose class it is where no file names one. */
  readonly modelTypes: readonly string[];
  /** What it is read from where there is no tokenizer.json. */
  readonly files: readonly string[];
  /** The roles' tokens where no file names others. */
  readonly tokens: Readonly<Partial<Record<Role, string>>>;
  /** @param settings tokenizer_config.json's @returns tokenizer.json without added tokens */
  build(settings: Json, parts: Parts, tokens: Readonly<Partial<Record<Role, string>>>): Json;
}

const words = (text: string): readonly string[] => text.split(" ");

/** What stands before and after a sequence. */
function around(vocabulary: Vocabulary, { cls = "", sep = "" }: Readonly<Partial<Record<Role, string>>>) {
  const [first, last] = [vocabulary.get(cls), vocabulary.get(sep)];
  return first === undefined || last === undefined ? {} : { cls: [cls, first] as const, sep: [sep, last] as const };
}

const bert: TokenizerClass = {
  name: "BertTokenizer",
  aliases: words(
    "DistilBertTokenizer ElectraTokenizer LayoutLMTokenizer LxmertTokenizer MobileBertTokenizer SqueezeBertTokenizer",
  ),
  modelTypes: words(
    "align bark bert blip bros chinese_clip convbert distilbert electra ernie flava git grounding-dino layoutlm megatron-bert mm-grounding-dino nezha nomic_bert qdqbert realm retribert squeezebert tvp vilt visual_bert",
  ),
  files: ["vocab.txt"],
  tokens: { cls: "[CLS]", sep: "[SEP]", mask: "[MASK]", pad: "[PAD]", unk: "[UNK]" },
  build: (settings, { vocabulary }, roles) =>
    wordPieceJson({
      vocabulary,
      added: [],
      ...around(vocabulary, roles),
      lowercase: settings.do_lower_case !== false,
      stripAccents: typeof settings.strip_accents === "boolean" ? settings.strip_accents : null,
      chineseCharacters: settings.tokenize_chinese_chars !== false,
      unknown: roles.unk ?? "[UNK]",
    }),
};

const byteLevel = (settings: Json, { vocabulary, merges }: Parts) => ({
  ...{ vocabulary, merges, added: [] },
  addPrefixSpace: settings.add_prefix_space === true,
});

const gpt2: TokenizerClass = {
  name: "GPT2Tokenizer",
  aliases: [],
  modelTypes: words(
    "blip-2 codegen dbrx emu3 gpt2 gpt_neo gptj instructblip instructblipvideo jais2 opt phi starcoder2",
  ),
  files: ["vocab.json", "merges.txt"],
  tokens: { bos: "<|endoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>" },
  build: (settings, parts) => byteLevelJson(byteLevel(settings, parts)),
};

const roberta: TokenizerClass = {
  name: "RobertaTokenizer",
  aliases: words("BartTokenizer LEDTokenizer LongformerTokenizer MvpTokenizer"),
  modelTypes: words("bart bridgetower clap data2vec-text ibert lilt longformer mega mra roberta roberta-prelayernorm"),
  files: ["vocab.json", "merges.txt"],
  tokens: { cls: "<s>", sep: "</s>", mask: "<mask>", pad: "<pad>", bos: "<s>", eos: "</s>", unk: "<unk>" },
  build: (settings, parts, roles) =>
    byteLevelJson({ ...byteLevel(settings, parts), ...around(parts.vocabulary, roles) }),
};

const classes: readonly TokenizerClass[] = [bert, gpt2, roberta];

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
 * @param model config.json @param settings tokenizer_config.json, each as far as it is there
 * @returns the class, if it is one that builds its tokenizer anew; and a name that is not known here
 */
export function classOf(model: Json, settings: Json): { readonly known?: TokenizerClass; readonly unknown?: string } {
  const named = settings.tokenizer_class ?? model.tokenizer_class;
  const type = typeof model.model_type === "string" ? model.model_type : undefined;
  if (type !== undefined && alwaysGeneral.has(type)) return {};
  if (typeof named === "string") {
    const name = named.replace(/Fast$/, "");
    if (general.has(name)) return {};
    const known = classes.find((one) => one.name === name || one.aliases.includes(name));
    return known === undefined ? { unknown: `tokenizer_class ${named}` } : { known };
  }
  if (type === undefined) return {};
  const known = classes.find((one) => one.modelTypes.includes(type));
  return known === undefined ? { unknown: `model_type ${type}` } : { known };
}

/** The class whose files lie in a folder, where none is named. */
export function guessed(present: (file: string) => boolean, vocabulary: Vocabulary): TokenizerClass | undefined {
  if (bert.files.every(present)) return bert;
  if (!gpt2.files.every(present)) return undefined;
  return vocabulary.has("<s>") && vocabulary.has("</s>") ? roberta : gpt2;
}
