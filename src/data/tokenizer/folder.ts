/**
 * A tokenizer's folder, in whichever form it came: `tokenizer.json`; `vocab.txt` (BERT's WordPiece); `vocab.json` and
 * `merges.txt` (byte-level BPE, GPT-2's or RoBERTa's). All become one description, as transformers reads them
 * (classes.ts, special.ts): tokenizer.json's content, the token of each role, and which tokens are special.
 */
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { configFile, tokenizerFiles } from "../../checkpoint/folder.ts";
import { checkInside } from "../../store/links.ts";
import { UserError } from "../../util/errors.ts";
import { decodeUtf8, isJsonObject, type Json, type JsonValue, parseJson, readJsonObject } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";
import { componentsOf, vocabularyOf } from "./check.ts";
import { classOf, GENERAL, guessed } from "./classes.ts";
import type { Parts, Vocabulary } from "./json.ts";
import { type AddedToken, listOf, type RoleTokens, readSpecial, written } from "./special.ts";

/** Bytes of the largest vocabulary or list of merges that is read. */
const LARGEST = 2 ** 26;

export type TokenizerDescription = Awaited<ReturnType<typeof describeTokenizer>>;

/** @throws UserError if the folder holds no tokenizer, or a damaged one */
export async function describeTokenizer(folder: string) {
  for (const name of [configFile, ...tokenizerFiles]) await checkInside(folder, name);
  const at = (name: string) => join(folder, name);
  const present = (name: string) => existsSync(at(name));
  const read = async (name: string): Promise<Json> => (present(name) ? readJsonObject(at(name)) : {});
  const config = await read("tokenizer_config.json");
  if (config.split_special_tokens === true) {
    const wayOut = "take the line out: a special token's text then stands for that token";
    throw new UserError("`split_special_tokens` is not supported", at("tokenizer_config.json"), wayOut);
  }
  const json = present("tokenizer.json") ? await readJsonObject(at("tokenizer.json")) : undefined;
  const model = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model"].find(present);
  if (json === undefined && model !== undefined && !["vocab.txt", "vocab.json"].some(present)) {
    const said = JSON.stringify(folder);
    const wayOut = `have transformers convert it, once: python -c 'from transformers import AutoTokenizer as T; T.from_pretrained(${said}).save_pretrained(${said})'`;
    const what = `its tokenizer is ${model} alone, in SentencePiece's own format, which is not read here`;
    throw new UserError(what, folder, wayOut);
  }
  const { known: named, unknown } = classOf(await read(configFile), config, json);
  if (json === undefined && unknown !== undefined) {
    const wayOut =
      "have transformers save it: AutoTokenizer.from_pretrained(…).save_pretrained(…) writes tokenizer.json";
    throw new UserError(`no tokenizer.json, and its ${unknown} is not known here`, folder, wayOut);
  }
  const stored = json !== undefined && isJsonObject(json.model) ? json.model : {};
  const parts: Parts =
    json === undefined
      ? await readParts(folder, present)
      : { vocabulary: vocabularyOf(stored.vocab, folder), merges: listOf(stored.merges), json };
  const { vocabulary } = parts;
  const guess = json === undefined && named?.files.every(present) !== true ? guessed(present, vocabulary) : undefined;
  const known = guess ?? named;
  // A class that nobody named does not add tokens of its own.
  const defaults = Object.entries(known?.tokens ?? paddingOf(json)).filter(
    ([, token]) => guess === undefined || vocabulary.has(token),
  );
  const own = json?.added_tokens;
  const files = { config, map: await read("special_tokens_map.json"), added: await read("added_tokens.json"), own };
  const kept = known === undefined ? listOf(own).flatMap(written) : [];
  const { roles, special, added, settings } = readSpecial(files, vocabulary, Object.fromEntries(defaults), kept);
  if (json === undefined && present("vocab.txt") && !vocabulary.has(roles.unk ?? "[UNK]")) {
    const wayOut = "is this BERT's vocabulary, one token a line?";
    throw new UserError(`no ${roles.unk ?? "[UNK]"} among its tokens`, at("vocab.txt"), wayOut);
  }
  const built = known?.build(settings, parts, roles) ?? { ...json, truncation: null, padding: null };
  const notes = unknown === undefined ? [] : [`its ${unknown} is not known here: tokenizer.json is taken as it stands`];
  if (typeof stored.dropout === "number" && stored.dropout !== 0) {
    notes.push(`its dropout of ${stored.dropout} is switched off, so that the same text gives the same ids`);
  }
  /** As tokenizer.json, without truncation, padding and randomness; added tokens in the order in which they are added. */
  const described: Json = { ...built, added_tokens: added.map((token) => ({ ...token })) };
  return {
    json: described,
    roles,
    /** Every special token, those without a role included. */
    special,
    /** The `tokenizer_class` by which the folder is read so, whatever model it belongs to. */
    tokenizerClass: known?.name ?? GENERAL,
    /** Whether transformers puts the bos token before a text. */
    beginsWithBos:
      roles.bos !== undefined && known?.name !== "GPTNeoXTokenizer" && roles.bos === firstOf(json, config, roles),
    /** What whoever uses it should know. */
    notes,
  };
}

/** tokenizer_config.json that names the class: the files are then read alike beside whichever model's config.json. */
export function withClass(config: Json, { tokenizerClass }: TokenizerDescription): Json {
  return typeof config.tokenizer_class === "string" ? config : { ...config, tokenizer_class: tokenizerClass };
}

/** tokenizer.json's added tokens. */
export function addedTokens(json: Json): readonly AddedToken[] {
  return listOf(json.added_tokens).flatMap((value) => {
    if (!isJsonObject(value) || typeof value.id !== "number") return [];
    const { id } = value;
    return written(value).map((token) => ({ ...token, id, normalized: token.normalized ?? !token.special }));
  });
}

/** What stands before a text: tokenizer.json's template says it, without that file `add_bos_token` does. */
function firstOf(json: Json | undefined, config: Json, { bos }: RoleTokens): JsonValue | undefined {
  if (json === undefined) return config.add_bos_token === true ? bos : undefined;
  const template = componentsOf(json.post_processor).find(({ type }) => type === "TemplateProcessing");
  const first = listOf(template?.single).find(isJsonObject)?.SpecialToken;
  return isJsonObject(first) ? first.id : undefined;
}

/** What padding, if tokenizer.json has it, says of the padding token. */
function paddingOf(json: Json | undefined): RoleTokens {
  const padding = json?.padding;
  return isJsonObject(padding) && typeof padding.pad_token === "string" ? { pad: padding.pad_token } : {};
}

/** vocab.txt, or vocab.json and merges.txt. */
async function readParts(folder: string, present: (name: string) => boolean): Promise<Parts> {
  const at = (name: string) => join(folder, name);
  if (present("vocab.txt")) return { vocabulary: await readVocabTxt(at("vocab.txt")), merges: [] };
  if (present("vocab.json") && present("merges.txt")) {
    const vocabulary = vocabularyOf(parseJson(await readText(at("vocab.json")), at("vocab.json")), at("vocab.json"));
    return { vocabulary, merges: await readMerges(at("merges.txt"), vocabulary) };
  }
  const wayOut = "name a folder with tokenizer.json, or vocab.txt, or vocab.json and merges.txt, or put them here";
  throw new UserError(existsSync(folder) ? "no tokenizer in this folder" : "no such folder", folder, wayOut);
}

/** One token a line; white space at its end does not count, and a blank line is a token too. */
async function readVocabTxt(path: string): Promise<Vocabulary> {
  const lines = (await readText(path)).split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  return new Map(lines.map((line, id): [string, number] => [line.replace(/\p{White_Space}+$/u, ""), id]));
}

async function readMerges(path: string, vocabulary: Vocabulary): Promise<readonly (readonly [string, string])[]> {
  const merges: [string, string][] = [];
  const lines = (await readText(path)).split(/\r?\n/);
  lines.forEach((line, i) => {
    if (line === "" || line.startsWith("#version")) return;
    const [left, right, ...rest] = line.split(" ");
    if (right === undefined || rest.length > 0 || !vocabulary.has(left + right)) {
      const wayOut = "vocab.json and merges.txt must be of one tokenizer: get both anew";
      throw new UserError("not a merge of two tokens of the vocabulary", `${path}:${i + 1}`, wayOut);
    }
    merges.push([left, right]);
  });
  return merges;
}

async function readText(path: string): Promise<string> {
  try {
    const info = await stat(path);
    if (!info.isFile()) throw new UserError("not a regular file", path, "get the tokenizer's files anew");
    if (info.size > LARGEST) throw new UserError(`${info.size} bytes are no vocabulary`, path, "get the file anew");
    return decodeUtf8(await readFile(path), path);
  } catch (error) {
    throw systemError(error, path);
  }
}
