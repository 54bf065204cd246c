/**
 * A tokenizer's folder, in whichever form it came: `tokenizer.json`; `vocab.txt` (BERT's WordPiece); `vocab.json` and
 * `merges.txt` (byte-level BPE, GPT-2's or RoBERTa's). All become one description: tokenizer.json's content and the
 * token of each role.
 *
 * What the files leave out is as transformers' BertTokenizer, RobertaTokenizer and GPT2Tokenizer have it.
 */
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { tokenizerFiles } from "../../checkpoint/folder.ts";
import { checkInside } from "../../store/links.ts";
import { UserError } from "../../util/errors.ts";
import { decodeUtf8, isJsonObject, type Json, type JsonValue, parseJson, readJsonObject } from "../../util/json.ts";
import { systemError } from "../../util/system.ts";
import { byteLevelJson, type Vocabulary, wordPieceJson } from "./json.ts";
import { type AddedToken, addedToken, type Role, specialToken, tokensByRole } from "./special.ts";

/** Bytes of the largest vocabulary or list of merges that is read. */
const LARGEST = 2 ** 26;

export interface TokenizerDescription {
  /** As tokenizer.json, without truncation and padding. */
  readonly json: Json;
  readonly roles: Readonly<Partial<Record<Role, string>>>;
}

/** @throws UserError if the folder holds no tokenizer, or a damaged one */
export async function describeTokenizer(folder: string): Promise<TokenizerDescription> {
  for (const name of tokenizerFiles) await checkInside(folder, name);
  const config = (await optional(join(folder, "tokenizer_config.json"))) ?? {};
  const map = (await optional(join(folder, "special_tokens_map.json"))) ?? {};
  const files: [Json, Json] = [map, config];
  const at = (name: string) => join(folder, name);
  if (existsSync(at("tokenizer.json"))) {
    const json = await readJsonObject(at("tokenizer.json"));
    const special = new Set(addedTokens(json).map((token) => token.content));
    return { json: { ...json, truncation: null, padding: null }, roles: tokensByRole(files, (t) => special.has(t)) };
  }
  if (existsSync(at("vocab.txt"))) {
    const vocabulary = await readVocabTxt(at("vocab.txt"));
    const found = tokensByRole(files, (token) => vocabulary.has(token));
    const unknown = found.unk;
    if (unknown === undefined) {
      throw new UserError("no [UNK] among its tokens", at("vocab.txt"), "is this BERT's vocabulary, one token a line?");
    }
    const json = wordPieceJson({
      vocabulary,
      added: await added(folder, files, vocabulary, found),
      lowercase: config.do_lower_case !== false,
      stripAccents: typeof config.strip_accents === "boolean" ? config.strip_accents : null,
      chineseCharacters: config.tokenize_chinese_chars !== false,
      unknown,
      ...around(vocabulary, found),
    });
    return { json, roles: found };
  }
  if (existsSync(at("vocab.json")) && existsSync(at("merges.txt"))) {
    const vocabulary = await readVocabJson(at("vocab.json"));
    const found = tokensByRole(files, (token) => vocabulary.has(token));
    const json = byteLevelJson({
      vocabulary,
      merges: await readMerges(at("merges.txt"), vocabulary),
      added: await added(folder, files, vocabulary, found),
      addPrefixSpace: config.add_prefix_space === true,
      ...around(vocabulary, found),
    });
    return { json, roles: found };
  }
  const wayOut = "name a folder with tokenizer.json, or vocab.txt, or vocab.json and merges.txt, or put them here";
  throw new UserError(existsSync(folder) ? "no tokenizer in this folder" : "no such folder", folder, wayOut);
}

/** tokenizer.json's added tokens. */
export function addedTokens(json: Json): readonly AddedToken[] {
  const list: readonly JsonValue[] = Array.isArray(json.added_tokens) ? json.added_tokens : [];
  return list.flatMap((value) => {
    if (!isJsonObject(value) || typeof value.id !== "number") return [];
    return addedToken(value.id, value) ?? [];
  });
}

function around(vocabulary: Vocabulary, found: Readonly<Partial<Record<Role, string>>>) {
  const entry = (token: string | undefined): readonly [string, number] | undefined => {
    const id = token === undefined ? undefined : vocabulary.get(token);
    return token === undefined || id === undefined ? undefined : [token, id];
  };
  return { cls: entry(found.cls), sep: entry(found.sep) };
}

/** The roles' tokens, those of added_tokens.json and of the config's added_tokens_decoder; the later wins. */
async function added(
  folder: string,
  files: readonly [map: Json, config: Json],
  vocabulary: Vocabulary,
  found: Readonly<Partial<Record<Role, string>>>,
): Promise<readonly AddedToken[]> {
  const byId = new Map<number, AddedToken>();
  for (const [role, token] of Object.entries(found)) {
    const id = vocabulary.get(token);
    if (id === undefined) continue;
    // A role's token may be an object that says whether it takes the space beside it, as RoBERTa's mask often does.
    const object = files.map((file) => file[`${role}_token`]).find((value) => isJsonObject(value));
    const described = isJsonObject(object) ? addedToken(id, object) : undefined;
    byId.set(id, described?.content === token ? { ...described, special: true } : specialToken(id, token));
  }
  for (const [content, id] of Object.entries((await optional(join(folder, "added_tokens.json"))) ?? {})) {
    if (typeof id === "number" && !byId.has(id)) byId.set(id, { ...specialToken(id, content), special: false });
  }
  const decoder = files[1].added_tokens_decoder;
  for (const [id, value] of Object.entries(isJsonObject(decoder) ? decoder : {})) {
    const token = isJsonObject(value) ? addedToken(Number(id), value) : undefined;
    if (token !== undefined) byId.set(token.id, token);
  }
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

async function readVocabTxt(path: string): Promise<Vocabulary> {
  const lines = (await readText(path)).split(/\r\n|\r|\n/);
  if (lines[lines.length - 1] === "") lines.pop();
  const vocabulary = new Map<string, number>();
  lines.forEach((token, id) => {
    vocabulary.set(token, id);
  });
  return vocabulary;
}

async function readVocabJson(path: string): Promise<Vocabulary> {
  const value = parseJson(await readText(path), path);
  const entries = Object.entries(isJsonObject(value) ? value : {});
  const vocabulary = new Map<string, number>();
  for (const [token, id] of entries) if (typeof id === "number") vocabulary.set(token, id);
  if (vocabulary.size === 0 || vocabulary.size !== entries.length) {
    throw new UserError("not an object of tokens and their ids", path, "get the file anew");
  }
  return vocabulary;
}

async function readMerges(path: string, vocabulary: Vocabulary): Promise<readonly (readonly [string, string])[]> {
  const merges: [string, string][] = [];
  const lines = (await readText(path)).split(/\r?\n/);
  lines.forEach((line, i) => {
    if (line === "" || (i === 0 && line.startsWith("#version"))) return;
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

async function optional(path: string): Promise<Json | undefined> {
  return existsSync(path) ? await readJsonObject(path) : undefined;
}
