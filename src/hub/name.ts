/**
 * Names of models on the Hugging Face Hub, `org/name[@revision][/subfolder]`, and where the Hub and its cache are. The
 * environment's variables mean what they mean to Python's huggingface_hub: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE,
 * HF_HUB_CACHE, HF_HOME. The token is sent to the endpoint alone; it is never written or printed.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import { UserError } from "../util/errors.ts";

export interface HubName {
  /** `org/name`. */
  readonly repo: string;
  /** A branch, a tag or a commit; `main` where none is named. */
  readonly revision: string;
  /** Folder of the model in the repository, "" for its root. */
  readonly folder: string;
}

const PART = `[A-Za-z0-9_][A-Za-z0-9._-]{0,95}`;
const NAME = new RegExp(`^(${PART}/${PART})(?:@([^/@\\s]+))?((?:/${PART})*)$`);

/** What a path says if it is read as a name on the Hub; `%2F` stands for a slash in a revision. undefined: it is none. */
export function hubName(path: string): HubName | undefined {
  const [, repo, revision = "main", folder = ""] = NAME.exec(path) ?? [];
  if (repo === undefined) return undefined;
  try {
    return { repo, revision: decodeURIComponent(revision), folder: folder.slice(1) };
  } catch {
    return undefined;
  }
}

/** The Hub's address, without a slash at its end. @throws UserError if HF_ENDPOINT is none */
export function hubEndpoint(): string {
  const given = process.env.HF_ENDPOINT || "https://huggingface.co";
  if (!URL.canParse(given) || !/^https?:/.test(given)) {
    throw new UserError(`\`${given}\` is no address`, "HF_ENDPOINT", "give one such as https://huggingface.co");
  }
  return given.replace(/\/+$/, "");
}

export function isOffline(): boolean {
  return [process.env.HF_HUB_OFFLINE, process.env.TRANSFORMERS_OFFLINE].some((value) =>
    /^(1|on|yes|true)$/i.test(value ?? ""),
  );
}

/** What authorises requests to the Hub. @throws UserError, which does not say it, if HF_TOKEN is no token */
export function hubToken(): { accessToken?: string } {
  const token = process.env.HF_TOKEN?.trim() ?? "";
  if (token === "") return {};
  if (/^hf_\w+$/.test(token)) return { accessToken: token };
  const wayOut = "copy it anew from the settings of your account there, or unset it";
  throw new UserError("it is no token of the Hub: those begin with hf_", "HF_TOKEN", wayOut);
}

/** The folder of the Hub's cache, which all programs share. */
export function hubCache(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  const at = (path: string) => path.replace(/^~(?=$|[/\\])/, homedir());
  const cache = HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE;
  if (cache) return at(cache);
  return join(at(HF_HOME || join(XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface")), "hub");
}
