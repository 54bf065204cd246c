/**
 * `tokenizer train`: a vocabulary of any size from text, as BERT's WordPiece or as byte-level BPE (GPT-2's, RoBERTa's),
 * written as a tokenizer's folder that transformers opens. The same text gives the same bytes.
 *
 * Ids: special tokens first, then the alphabet by code point (for WordPiece the characters that begin a word, then
 * those that carry one on), then what was merged, in order.
 */
import { join } from "node:path";
import { writeJson } from "../../checkpoint/folder.ts";
import { checkFolderFreeOrMade, holdsAlready, writeFolderWhole } from "../../store/files.ts";
import { fillFile } from "../../store/output.ts";
import { UserError } from "../../util/errors.ts";
import type { Json } from "../../util/json.ts";
import { packageVersion } from "../../util/paths.ts";
import type { Fingerprint } from "../text/blocks.ts";
import { byCodePoint } from "../text/order.ts";
import { findSources, namedField, type Reading } from "../text/sources.ts";
import { bert, gpt2, roberta } from "./classes.ts";
import type { Parts } from "./json.ts";
import { learnMerges, type Merge, type Words } from "./merges.ts";
import { type RoleTokens, specialToken } from "./special.ts";
import { openTokenizer } from "./tokenizer.ts";
import { countWords } from "./word-counts.ts";

export interface TrainTokenizerOptions extends Reading {
  /** Text files and folders. */
  readonly paths: readonly string[];
  /** The folder to write; it must not exist, or be empty. */
  readonly out: string;
  readonly kind: "wordpiece" | "bpe";
  /** Entries of the vocabulary, special tokens included. */
  readonly vocabulary: number;
  /** WordPiece: lower case and no accents (BERT's "uncased"); default false. */
  readonly lowercase?: boolean;
  /** BPE: whose special tokens; default "gpt2". */
  readonly special?: "gpt2" | "roberta";
  /** Called after every block of text. */
  readonly progress?: (bytes: number) => void;
}

export type TrainTokenizerResult = Awaited<ReturnType<typeof trainTokenizer>>;

/** Whose special tokens, in the order of their ids. */
const specials = {
  bert: { of: bert, tokens: ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] },
  gpt2: { of: gpt2, tokens: ["<|endoftext|>"] },
  roberta: { of: roberta, tokens: ["<s>", "<pad>", "</s>", "<unk>", "<mask>"] },
};

/** Characters that WordPiece's alphabet has at most, as in Hugging Face's trainer. */
const LARGEST_ALPHABET = 1000;
/** Characters of a word, above which WordPiece gives up. */
const LONGEST_WORD = 100;

/** @throws UserError; then nothing is written */
export async function trainTokenizer(options: TrainTokenizerOptions) {
  const { kind, vocabulary: size, lowercase = false } = options;
  check(options);
  await checkFolderFreeOrMade(options.out);
  const started = performance.now();
  const sources = await findSources(options.paths, options);
  const { tokens, of } = specials[kind === "wordpiece" ? "bert" : (options.special ?? "gpt2")];
  const roles: RoleTokens = Object.fromEntries(Object.entries(of.tokens).sort());
  const config: Json = {
    tokenizer_class: of.name,
    model_max_length: of === gpt2 ? 1024 : 512,
    ...(kind === "wordpiece"
      ? { do_lower_case: lowercase, strip_accents: null, tokenize_chinese_chars: true }
      : { add_prefix_space: false }),
  };
  // RoBERTa's mask takes the space before it, as in the sentences that it was trained on.
  const added = tokens.map((token, id) => ({
    ...specialToken(id, token),
    lstrip: of === roberta && token === roles.mask,
  }));
  const jsonOf = (names: readonly string[], merges: Parts["merges"]): Json => {
    const vocabulary = new Map(names.map((name, id) => [name, id]));
    return { ...of.build(config, { vocabulary, merges }, roles), added_tokens: added };
  };
  const fingerprints: Fingerprint[] = [];
  // The library gives each token the id it has in the vocabulary: no empty one will do.
  const words = await countWords(sources, jsonOf(tokens, []), options.progress, fingerprints);
  if (words.size === 0)
    throw new UserError("the corpus is empty", options.paths.join(", "), "name files that hold text");
  const origin = async () => {
    const { special } = options;
    const given = { version: packageVersion(), kind, size, lowercase, special };
    const made = { ...given, field: namedField(options), sources: fingerprints };
    return `tokenizer train ${JSON.stringify(made)}`;
  };
  const done = (vocabulary: number, already: boolean) => ({
    /** Entries written: fewer than asked for where the text gives no more. */
    vocabulary,
    /** Distinct words that were counted. */
    words: words.size,
    seconds: (performance.now() - started) / 1000,
    /** Whether the same tokenizer stood there already, and nothing was written. */
    already,
  });
  if (await holdsAlready(options.out, origin)) return done((await openTokenizer(options.out)).info.vocabulary, true);
  const {
    names,
    arrays,
    join: joined,
  } = kind === "wordpiece" ? wordPiece(tokens, words, size) : await byteLevel(tokens, words);
  const merges = learnMerges(arrays, { names, join: joined }, size);
  const named = merges.map(({ left, right }: Merge): [string, string] => [names[left], names[right]]);
  const fill = async (folder: string) => {
    await writeJson(join(folder, "tokenizer.json"), jsonOf(names, named));
    const map = Object.fromEntries(Object.entries(roles).map(([role, token]) => [`${role}_token`, token]));
    // A token that takes a blank with it is described in full, for whoever reads vocab.json and merges.txt.
    const full = Object.entries(map).map(([key, token]) => {
      const { id: _, normalized, ...flags } = added[tokens.indexOf(token)];
      return [key, flags.lstrip ? { ...flags, normalized } : token];
    });
    await writeJson(join(folder, "special_tokens_map.json"), Object.fromEntries(full));
    await writeJson(join(folder, "tokenizer_config.json"), { ...map, ...config });
    if (kind === "wordpiece") {
      await fillFile(join(folder, "vocab.txt"), `${names.join("\n")}\n`);
    } else {
      await writeJson(join(folder, "vocab.json"), Object.fromEntries(names.map((name, id) => [name, id])));
      const lines = named.map((merge) => `${merge.join(" ")}\n`);
      await fillFile(join(folder, "merges.txt"), `#version: 0.2\n${lines.join("")}`);
    }
  };
  await writeFolderWhole(options.out, fill, { origin });
  return done(names.length, false);
}

/** The first symbols, the words in them, and the name of what two symbols become. */
interface Start {
  readonly names: string[];
  readonly arrays: Words;
  join(left: string, right: string): string;
}

function wordPiece(tokens: readonly string[], words: ReadonlyMap<string, number>, size: number): Start {
  const alphabet = alphabetOf(words, Math.min(LARGEST_ALPHABET, Math.floor(size / 4)));
  const inner = new Set<string>();
  const split: Split[] = [];
  for (const [word, count] of words) {
    const letters = [...word];
    if (letters.length > LONGEST_WORD || !letters.every((letter) => alphabet.has(letter))) continue;
    for (const letter of letters.slice(1)) inner.add(letter);
    split.push({ letters: letters.map((letter, i) => (i === 0 ? letter : `##${letter}`)), count });
  }
  const names = [
    ...tokens,
    ...[...alphabet].sort(byCodePoint),
    ...[...inner].sort(byCodePoint).map((letter) => `##${letter}`),
  ];
  return { names, arrays: arraysOf(split, names), join: (left, right) => left + right.slice(2) };
}

async function byteLevel(tokens: readonly string[], words: ReadonlyMap<string, number>): Promise<Start> {
  const { default: library } = await import("tokenizers");
  const names = [...tokens, ...library.byteLevelAlphabet().sort(byCodePoint)];
  const split = [...words].map(([word, count]) => ({ letters: [...word], count }));
  return { names, arrays: arraysOf(split, names), join: (left, right) => left + right };
}

/** The most frequent characters; of equally frequent ones the lower code points. */
function alphabetOf(words: ReadonlyMap<string, number>, most: number): Set<string> {
  const counts = new Map<string, number>();
  for (const [word, count] of words) for (const letter of word) counts.set(letter, (counts.get(letter) ?? 0) + count);
  const ordered = [...counts].sort(([a, often], [b, seldom]) => seldom - often || byCodePoint(a, b));
  return new Set(ordered.slice(0, most).map(([letter]) => letter));
}

interface Split {
  readonly letters: readonly string[];
  readonly count: number;
}

function arraysOf(split: readonly Split[], names: readonly string[]): Words {
  const numbers = new Map(names.map((name, number) => [name, number]));
  const starts = new Int32Array(split.length + 1);
  split.forEach(({ letters }, i) => {
    starts[i + 1] = starts[i] + letters.length;
  });
  const symbols = new Int32Array(starts[split.length]);
  let at = 0;
  for (const { letters } of split) for (const letter of letters) symbols[at++] = numbers.get(letter) ?? 0;
  return { symbols, starts, counts: Float64Array.from(split, ({ count }) => count) };
}

function check({ kind, vocabulary, lowercase, special }: TrainTokenizerOptions): void {
  if (kind === "bpe" && lowercase === true) {
    throw new UserError("byte-level BPE keeps case", "--lowercase", "leave it out, or choose --kind wordpiece");
  }
  if (kind === "wordpiece" && special !== undefined) {
    throw new UserError("WordPiece has BERT's special tokens", "--special", "leave it out, or choose --kind bpe");
  }
  const least = kind === "wordpiece" ? 64 : 256 + specials[special ?? "gpt2"].tokens.length;
  if (!Number.isInteger(vocabulary) || vocabulary < least || vocabulary > 2 ** 24) {
    const reason = kind === "wordpiece" ? "" : ": the 256 bytes and the special tokens have to be among them";
    throw new UserError(`a vocabulary of ${vocabulary} entries`, "--vocab", `name at least ${least}${reason}`);
  }
}
