/**
 * Tokenizer folders made by rules that mix what the files of a folder may say, and texts that try them: each draws its
 * choices from a seed, so a folder that is read otherwise than transformers reads it can be made again.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { wordPieceJson } from "../../src/data/tokenizer/json.ts";
import { specialToken } from "../../src/data/tokenizer/special.ts";
import type { Json, JsonValue } from "../../src/util/json.ts";
import { RandomStream } from "../../src/util/random.ts";
import { fixture } from "../support.ts";

type Mutable = Record<string, JsonValue>;
interface Draw {
  below(count: number): number;
  one<T>(...of: readonly T[]): T;
  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean;
}

function drawFrom(name: string, seed: number): Draw {
  const random = new RandomStream(seed, name);
  let at = 0;
  const below = (count: number) => random.below(count, at++);
  return { below, one: (...of) => of[below(of.length)], chance: (percent) => below(100) < percent };
}

const bertRoles = { unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" };
const gpt2Roles = { bos: "<|endoftext|>", eos: "<|endoftext|>", unk: "<|endoftext|>" };
const robertaRoles = { bos: "<s>", eos: "</s>", sep: "</s>", cls: "<s>", unk: "<unk>", pad: "<pad>", mask: "<mask>" };
const kinds = {
  bert: {
    from: ["uncased", "cased"],
    roles: bertRoles,
    classes: ["BertTokenizer", "ElectraTokenizer"],
    types: ["bert", "electra"],
  },
  gpt2: { from: ["gpt2"], roles: gpt2Roles, classes: ["GPT2Tokenizer"], types: ["gpt2", "opt"] },
  roberta: {
    from: ["roberta"],
    roles: robertaRoles,
    classes: ["RobertaTokenizer", "BartTokenizer"],
    types: ["roberta", "bart"],
  },
};

export interface MadeFolder {
  readonly path: string;
  /** What its texts should hold: tokens that are added or special, and words of the vocabulary. */
  readonly tokens: readonly string[];
  readonly words: readonly string[];
}

/** Writes folder number `seed`. */
export function makeFolder(parent: string, seed: number): MadeFolder {
  const draw = drawFrom("folder", seed);
  const path = join(parent, `folder-${seed}`);
  mkdirSync(path);
  const write = (name: string, content: string | JsonValue) =>
    writeFileSync(join(path, name), typeof content === "string" ? content : JSON.stringify(content));
  const name = draw.one("bert", "gpt2", "roberta") as keyof typeof kinds;
  const kind = kinds[name];
  const base = fixture("tokenizers", draw.one(...kind.from));
  const isBert = name === "bert";
  const vocabulary = isBert ? vocabTxt(base) : vocabJson(base);
  const merges = isBert ? [] : readFileSync(join(base, "merges.txt"), "utf8").split("\n").slice(1).filter(Boolean);
  const words = [...vocabulary.keys()].filter((word) => /^[a-z]{2,}$/.test(word));
  const inVocabulary = () => draw.one(...words);
  const fresh = () =>
    draw.one("[ENT]", "<ent>", "[Ent 2]", "zebra", "Ünder", "<|x|>", "[E]", "日本", "##x", "don't", " sp");
  const anyToken = () => (draw.chance(40) ? inVocabulary() : fresh());
  const tokens = new Set<string>(Object.values(kind.roles));
  const remember = (token: string) => {
    tokens.add(token);
    return token;
  };
  const flags = (): Json => {
    const set = Object.fromEntries(["lstrip", "rstrip", "single_word"].map((key) => [key, draw.chance(20)]));
    return draw.chance(70) ? { ...set, normalized: draw.chance(50) } : set;
  };
  const inFiles = draw.one("json", "json", "json", "both", "vocabulary");
  const config: Mutable = {};
  const map: Mutable = {};
  const classed = inFiles === "vocabulary" || draw.chance(75);

  // Which class reads it.
  const model: Mutable = {};
  if (classed) {
    if (draw.chance(60)) config.tokenizer_class = draw.one(...kind.classes) + (draw.chance(40) ? "Fast" : "");
    else model.model_type = draw.one(...kind.types);
    if (draw.chance(20)) model.model_type = draw.one("bert", "gpt2", "roberta");
    if (model.model_type !== undefined && config.tokenizer_class === undefined)
      model.model_type = draw.one(...kind.types);
    // A class that builds something else of the same vocabulary.
    if (inFiles === "json" && draw.chance(8)) config.tokenizer_class = draw.one("GPT2Tokenizer", "RobertaTokenizer");
    // A vocabulary with a gap.
    if (draw.chance(8))
      vocabulary.delete(
        draw.one(...words.filter((word) => !merges.some((merge) => merge.replace(" ", "") === word))) ?? "",
      );
  } else {
    if (draw.chance(70))
      config.tokenizer_class = draw.one(
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
        "FooTokenizer",
        "PreTrainedTokenizer",
      );
    if (draw.chance(20)) model.model_type = "modernbert";
  }

  // Two files that say one thing.
  const maybe = (key: string, ...values: readonly JsonValue[]) => {
    if (draw.chance(50)) config[key] = draw.one(...values);
  };
  maybe("do_lower_case", true, false);
  maybe("strip_accents", true, false, null);
  maybe("tokenize_chinese_chars", true, false);
  maybe("add_prefix_space", true, false);
  maybe("model_max_length", 512);

  // Who is special.
  const decoder = draw.chance(35);
  const dict = (content: string): Json => ({ content, ...flags() });
  for (const [role, usual] of Object.entries(kind.roles)) {
    // A token with a blank breaks transformers' template of [CLS] and [SEP].
    const token = remember(draw.chance(12) && role !== "unk" ? anyToken().replace(" ", "") : usual);
    if (draw.chance(45)) config[`${role}_token`] = draw.chance(30) ? { __type: "AddedToken", ...dict(token) } : token;
    if (draw.chance(30)) map[`${role}_token`] = draw.chance(30) ? dict(token) : token;
    if (draw.chance(5) && role !== "unk") (draw.chance(50) ? config : map)[`${role}_token`] = null;
  }
  if (draw.chance(15)) config.image_token = remember(anyToken());
  if (draw.chance(10)) map.audio_token = remember(anyToken());
  if (draw.chance(30)) config.additional_special_tokens = [anyToken(), anyToken()].map(remember);
  if (draw.chance(15)) map.additional_special_tokens = [remember(anyToken())];
  if (draw.chance(15))
    config.extra_special_tokens = draw.one<JsonValue>(
      [remember(anyToken())],
      { entity_token: remember(anyToken()) },
      [],
      { x: remember(anyToken()) },
    );
  if (draw.chance(10))
    map.extra_special_tokens = draw.one<JsonValue>([remember(anyToken()), dict(remember(anyToken()))], {
      thing_token: remember(anyToken()),
    });
  const added: Mutable = {};
  if (draw.chance(25)) {
    const count = 1 + draw.below(3);
    for (let i = 0; i < count; i++) added[remember(anyToken())] = vocabulary.size + i;
  }
  const roleTokens = [...new Set(Object.values(kind.roles))];
  const own: Mutable[] = [];
  const mode = draw.one("all", "all", "some", "none");
  for (const token of roleTokens) {
    const id = vocabulary.get(token);
    if (id === undefined || mode === "none" || (mode === "some" && draw.chance(50))) continue;
    own.push({ ...specialToken(id, token), ...(draw.chance(15) ? flags() : {}) });
  }
  if (draw.chance(40)) {
    let next = vocabulary.size;
    for (let i = 1 + draw.below(3); i > 0; i--) {
      const content = remember(anyToken());
      if (own.some((token) => token.content === content)) continue;
      const id = vocabulary.get(content) ?? next++;
      own.push({ ...specialToken(id, content), special: draw.chance(50), normalized: draw.chance(50), ...flags() });
    }
  }
  own.sort((a, b) => Number(a.id) - Number(b.id));
  if (decoder) {
    const entries = own.map(({ id, ...token }): [string, JsonValue] => [
      String(id),
      draw.chance(20) ? { ...token, ...flags() } : token,
    ]);
    if (draw.chance(50))
      entries.push([String(vocabulary.size + own.length), { ...dict(remember(fresh())), special: draw.chance(50) }]);
    config.added_tokens_decoder = Object.fromEntries(entries);
  }

  // The files themselves.
  if (inFiles !== "vocabulary") {
    const json: Mutable = {
      version: "1.0",
      ...(isBert ? wordPiece(draw, vocabulary) : byteLevel(draw, vocabulary, merges)),
    };
    json.truncation = draw.chance(20)
      ? { max_length: 3, stride: 0, strategy: "LongestFirst", direction: "Right" }
      : null;
    json.padding = draw.chance(15)
      ? {
          strategy: "BatchLongest",
          direction: "Right",
          pad_to_multiple_of: null,
          pad_id: 0,
          pad_type_id: 0,
          pad_token: roleTokens[0],
        }
      : null;
    json.added_tokens = own;
    write("tokenizer.json", json);
  }
  if (inFiles !== "json") {
    if (isBert) {
      const end = draw.one("", "\n", "\n", "\n\n", " \n");
      const lines = [...vocabulary.keys(), ...(draw.chance(15) ? [inVocabulary()] : [])];
      write("vocab.txt", lines.join(draw.chance(15) ? "\r\n" : "\n") + end);
    } else {
      write("vocab.json", Object.fromEntries(vocabulary));
      write("merges.txt", `#version: 0.2\n${merges.join("\n")}\n`);
    }
  }
  if (Object.keys(config).length > 0) write("tokenizer_config.json", config);
  if (Object.keys(map).length > 0) write("special_tokens_map.json", map);
  if (Object.keys(added).length > 0) write("added_tokens.json", added);
  if (Object.keys(model).length > 0) write("config.json", model);
  return { path, tokens: [...tokens], words };
}

/** tokenizer.json of a WordPiece tokenizer, in one of the forms that versions of the library write. */
function wordPiece(draw: Draw, vocabulary: ReadonlyMap<string, number>): Mutable {
  const settings = {
    do_lower_case: draw.chance(50),
    strip_accents: draw.one(null, true, false),
    tokenize_chinese_chars: draw.chance(70),
  };
  const usual = wordPieceJson(settings, { vocabulary, merges: [] }, { cls: "[CLS]", sep: "[SEP]" });
  const { model, normalizer, pre_tokenizer } = usual;
  const { type, ...untyped } = model as Mutable;
  const stored = draw.chance(35) ? untyped : { type, ...untyped };
  const most = draw.one(100, 100, 20);
  return {
    ...usual,
    model: { ...stored, max_input_chars_per_word: most, ...extra(draw) },
    normalizer: draw.one<JsonValue>(
      { ...(normalizer as Mutable), ...extra(draw) },
      normalizer,
      normalizer,
      {
        type: "Sequence",
        normalizers: [
          { type: draw.one("NFC", "NFD", "NFKC", "NFKD") },
          { type: "Lowercase" },
          { type: "StripAccents" },
        ],
      },
      { type: "Lowercase" },
      null,
    ),
    pre_tokenizer: draw.one<JsonValue>(
      pre_tokenizer,
      pre_tokenizer,
      { type: "Whitespace" },
      { type: "WhitespaceSplit" },
      {
        type: "Sequence",
        pretokenizers: [
          { type: "WhitespaceSplit" },
          { type: "Punctuation", behavior: draw.one("Isolated", "Removed", "Contiguous") },
          { type: "Digits", individual_digits: draw.chance(50) },
        ],
      },
    ),
  };
}

/** The same of byte-level BPE. */
function byteLevel(draw: Draw, vocabulary: ReadonlyMap<string, number>, merges: readonly string[]): Mutable {
  const before = {
    type: "ByteLevel",
    add_prefix_space: draw.chance(40),
    trim_offsets: true,
    ...(draw.chance(50) ? { use_regex: true } : {}),
  };
  const model: Mutable = {
    ...(draw.chance(65) ? { type: "BPE" } : {}),
    ...(draw.chance(70) ? { dropout: draw.one(null, null, 0, 0.1, 0.5) } : {}),
    unk_token: draw.one(null, null, "<|nothing|>"),
    continuing_subword_prefix: draw.one("", null),
    ...(draw.chance(70) ? { end_of_word_suffix: "" } : {}),
    ...(draw.chance(70) ? { fuse_unk: draw.one<JsonValue>(false, true, null) } : {}),
    ...(draw.chance(50) ? { byte_fallback: false } : {}),
    ...(draw.chance(40) ? { ignore_merges: draw.chance(50) } : {}),
    vocab: Object.fromEntries(vocabulary),
    merges: draw.chance(50) ? [...merges] : merges.map((merge) => merge.split(" ")),
    ...extra(draw),
  };
  return {
    model,
    normalizer: draw.one<JsonValue>(null, null, null, { type: "NFC" }, { type: "NFKC" }, { type: "Lowercase" }),
    pre_tokenizer: draw.one<JsonValue>(
      before,
      before,
      { ...before, ...extra(draw) },
      {
        type: "Sequence",
        pretokenizers: [
          { type: "Digits", individual_digits: draw.chance(50) },
          { ...before, use_regex: draw.chance(70) },
        ],
      },
    ),
    post_processor: { ...before, trim_offsets: false },
    decoder: before,
  };
}

/** A field of a version that is to come. */
function extra(draw: Draw): Json {
  return draw.chance(15) ? { unheard_of: draw.one<JsonValue>(true, null, [1, "two"]) } : {};
}

function vocabTxt(folder: string): Map<string, number> {
  const lines = readFileSync(join(folder, "vocab.txt"), "utf8").trimEnd().split("\n");
  return new Map(lines.map((token, id) => [token, id]));
}

function vocabJson(folder: string): Map<string, number> {
  const json: Record<string, number> = JSON.parse(readFileSync(join(folder, "vocab.json"), "utf8"));
  return new Map(Object.entries(json));
}

const spaces = [
  " ",
  " ",
  " ",
  " ",
  "  ",
  "\t",
  "\n",
  "\u00a0",
  "\u0085",
  "\u2003",
  "\u3000",
  "\u200b",
  "\u200d",
  "\ufeff",
  "\u2028",
];
const marks = "'s 't .,!?-_()[]<>|#\"$%&*+/:;=@\\^`{}~“”…—¡¿";
const ranges = [
  [0x20, 0x7f],
  [0xa0, 0x250],
  [0x300, 0x370],
  [0x370, 0x530],
  [0x590, 0x700],
  [0x900, 0xe00],
  [0x1e00, 0x2100],
  [0x2190, 0x2c00],
  [0x3000, 0x3100],
  [0x4e00, 0x9fff],
  [0xac00, 0xd7a4],
  [0xf900, 0xffff],
  [0x1f300, 0x1fb00],
  [0x20000, 0x2a6e0],
  [0, 0x20],
  [0x10000, 0x110000],
];

/** Texts that hold a folder's tokens between words, marks, blanks and characters of all of Unicode. */
export function makeTexts({ tokens, words }: MadeFolder, seed: number, count: number): string[] {
  const draw = drawFrom("texts", seed);
  const changed = (token: string) =>
    draw.one(
      token,
      token,
      token,
      token.toUpperCase(),
      token.toLowerCase(),
      ` ${token} `,
      token.slice(0, -1),
      token.normalize("NFD"),
    );
  const character = () => {
    const [first, end] = draw.one(...ranges);
    const code = first + draw.below(end - first);
    return code >= 0xd800 && code < 0xe000 ? "é" : String.fromCodePoint(code);
  };
  const piece = () => {
    const which = draw.below(100);
    if (which < 25) return draw.one(...words) + draw.one("", " ", " ");
    if (which < 40) return changed(draw.one(...tokens));
    if (which < 55) return draw.one(...spaces);
    if (which < 65) return draw.one(...marks);
    if (which < 70) return String(draw.below(3000));
    return character();
  };
  return Array.from({ length: count }, () => Array.from({ length: draw.below(14) }, piece).join(""));
}
