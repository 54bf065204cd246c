/**
 * A model folder as transformers reads it: `config.json`, weights, tokenizer files, `generation_config.json` where
 * there is one, a model card (card.ts), and beside them what this package adds: `growth.json`, `optimizer.safetensors` and
 * `trainer.json`.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { checkInside } from "../store/links.ts";
import { copyInto, fillFile } from "../store/output.ts";
import { UserError } from "../util/errors.ts";
import { type Json, type JsonValue, readJsonObject } from "../util/json.ts";
import { errorCode, systemError } from "../util/system.ts";

export const configFile = "config.json";
export const generationConfigFile = "generation_config.json";
/** Beside the weights of an adapter (peft), which a model folder may hold as well. */
export const adapterFile = "adapter_config.json";
export const growthFile = "growth.json";

/** What a tokenizer may be kept in, by the names that transformers gives. */
export const tokenizerFiles: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.txt",
  "vocab.json",
  "merges.txt",
];

/** What a folder holds, in order. @throws UserError if it is none */
export async function namesIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === "ENOENT") throw new UserError("there is no such folder", folder, "check the path");
    if (errorCode(error) === "ENOTDIR") throw new UserError("it is a file, not a folder", folder, "name the folder");
    throw systemError(error, folder);
  });
  return names.sort();
}

/** A folder's `config.json`. @throws UserError if it is missing or no JSON object */
export async function readConfig(folder: string): Promise<Json> {
  const present = await namesIn(folder);
  if (!present.includes(configFile) && present.includes(adapterFile)) {
    const wayOut = "merge it into its base model in peft (merge_and_unload), save that and name its folder";
    throw new UserError("it holds an adapter, not a model", folder, wayOut);
  }
  if (!present.includes(configFile)) {
    throw new UserError(`there is no ${configFile}`, folder, "name a model folder as transformers saves it");
  }
  await checkInside(folder, configFile);
  return readJsonObject(join(folder, configFile));
}

/** Writes `config.json` as transformers does: keys sorted, two spaces. Into the temporary folder of writeFolderWhole. */
export async function writeConfig(folder: string, config: Json): Promise<void> {
  // transformers 5 takes no whole number for these: 2.0 stays 2.0.
  const whole = /^( {2}"(?:initializer_\w+|\w+_eps|\w+_epsilon)": \d+)(,?)$/gm;
  await fillFile(join(folder, configFile), jsonText(sortKeys(config)).replace(whole, "$1.0$2"));
}

function jsonText(value: JsonValue): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Writes a JSON file, keys in the order given. Into the temporary folder of writeFolderWhole. */
export async function writeJson(path: string, value: JsonValue): Promise<void> {
  await fillFile(path, jsonText(value));
}

export const tokenizerConfigFile = "tokenizer_config.json";

/**
 * Copies the tokenizer files that are there. @returns their names
 * @param change what tokenizer_config.json becomes; where that is what it was, its bytes stay as they are
 */
export async function copyTokenizerFiles(
  from: string,
  to: string,
  change: (config: Json) => Json = (config) => config,
): Promise<readonly string[]> {
  const present = await presentOf(from, tokenizerFiles);
  const config = present.includes(tokenizerConfigFile) ? await readJsonObject(join(from, tokenizerConfigFile)) : {};
  const changed = present.length === 0 ? config : change(config);
  if (changed === config) return copyFiles(from, to, tokenizerFiles);
  await writeJson(join(to, tokenizerConfigFile), changed);
  const others = tokenizerFiles.filter((name) => name !== tokenizerConfigFile);
  return [...(await copyFiles(from, to, others)), tokenizerConfigFile];
}

/**
 * tokenizer_config.json beside a model: transformers cuts texts off that are longer than the model takes.
 * @param positions of the model @param own whether the tokenizer is the model's: then a lower limit is meant
 */
export function withLimit(config: Json, positions: number, own = true): Json {
  const { model_max_length: limit } = config;
  const fits = typeof limit === "number" && (own ? limit <= positions : limit === positions);
  return fits ? config : { ...config, model_max_length: positions };
}

/** Copies `generation_config.json` if it is there. @returns whether it was */
export async function copyGenerationConfig(from: string, to: string): Promise<boolean> {
  return (await copyFiles(from, to, [generationConfigFile])).length > 0;
}

/** Which of the names are files in a folder. @throws UserError if one is a link that leads out of it */
export async function presentOf(folder: string, names: readonly string[]): Promise<readonly string[]> {
  for (const name of names) await checkInside(folder, name);
  const there = await Promise.all(names.map((name) => isFile(join(folder, name))));
  return names.filter((_, i) => there[i]);
}

async function copyFiles(from: string, to: string, names: readonly string[]): Promise<readonly string[]> {
  const present = await presentOf(from, names);
  for (const name of present) {
    await copyInto(join(from, name), join(to, name)).catch((error: unknown) => {
      throw systemError(error, join(from, name));
    });
  }
  return present;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isFile(),
    () => false,
  );
}

function sortKeys(value: Json): Json {
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
