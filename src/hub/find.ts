/**
 * From what a person names to a folder: a folder of that name wins; else it is a model on the Hub, taken from the local
 * cache where it is there, weights, tokenizer and all, and else brought there. A cache that can't be written is read.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { configFile, tokenizerFiles } from "../checkpoint/folder.ts";
import { indexFile, weightsFile } from "../checkpoint/weights.ts";
import { modelPlace } from "../store/places.ts";
import { UserError } from "../util/errors.ts";
import { isJsonObject, readJsonObject } from "../util/json.ts";
import { type HubName, hubCache, hubEndpoint, hubName, isOffline } from "./name.ts";

/** What of a model is wanted: all that is read of one, or what makes up its tokenizer. */
export type Wanted = "model" | "tokenizer";

export interface FindOptions {
  readonly wanted?: Wanted;
  /** What a relative path is relative to; default the working directory. */
  readonly beside?: string;
  /** Told what a person should know of where the model comes from. */
  readonly say?: (text: string) => void;
  /** While something is downloaded: the file, and bytes of all files. */
  readonly progress?: (file: string, done: number, all: number) => void;
}

/**
 * The model folder that is meant. A path that is there, or that is no name, is returned as it is, a run's as the model
 * in it.
 * @throws UserError if it is neither a folder nor a model that can be had
 */
export async function findModel(path: string, options: FindOptions = {}): Promise<string> {
  const { wanted = "model", say = () => {} } = options;
  const place = options.beside === undefined ? path : resolve(options.beside, path);
  const name = existsSync(place) ? undefined : hubName(path);
  if (name === undefined) return modelPlace(place, say);
  const cached = await findCached(name, wanted);
  if (cached?.whole === true) return cached.folder;
  const fall = (why: string): string => {
    if (cached?.usable !== true) throw nowhere(path, why);
    say(`${path}: ${why}; taken from the cache, which holds no tokenizer of it`);
    return cached.folder;
  };
  if (isOffline()) return fall("the Hub is not asked, since HF_HUB_OFFLINE is set");
  const { download, NotThere } = await import("./download.ts");
  try {
    return await download(name, wanted, options);
  } catch (error) {
    if (error instanceof NotThere) return fall(error.message);
    throw error;
  }
}

function nowhere(path: string, why: string): UserError {
  const what = `there is no such folder, and as a model on the Hub (${hubEndpoint()}) it was not found: ${why}`;
  return new UserError(what, path, "check the path, or the name; a private or gated model needs HF_TOKEN");
}

/** Where a repository lies in the cache. */
export function cachedRepo({ repo }: Pick<HubName, "repo">): string {
  return join(hubCache(), `models--${repo.replace("/", "--")}`);
}

/** The model in the cache; whole if nothing of what is read may be missing, usable if there is enough to go on with. */
async function findCached(name: HubName, wanted: Wanted) {
  const repo = cachedRepo(name);
  const ref = await readFile(join(repo, "refs", ...name.revision.split("/")), "utf8").catch(() => name.revision);
  if (!/^[0-9a-f]{40}$/.test(ref.trim())) return undefined;
  const folder = join(repo, "snapshots", ref.trim(), name.folder);
  const has = (file: string) => existsSync(join(folder, file));
  const tokenizer = ["tokenizer.json", "vocab.txt", "vocab.json"].some(
    (file) => tokenizerFiles.includes(file) && has(file),
  );
  if (wanted === "tokenizer") return { folder, whole: tokenizer && has("tokenizer_config.json"), usable: tokenizer };
  const usable = has(configFile) && (has(weightsFile) || (has(indexFile) && (await shardsOf(folder)).every(has)));
  return { folder, whole: usable && tokenizer, usable };
}

/** The weights files that a folder's index names. */
export async function shardsOf(folder: string): Promise<readonly string[]> {
  const { weight_map: map } = await readJsonObject(join(folder, indexFile));
  return isJsonObject(map) ? [...new Set(Object.values(map).filter((file) => typeof file === "string"))] : [];
}
