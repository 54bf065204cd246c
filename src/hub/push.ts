/**
 * A model folder to the Hub: one commit with all its files, its card among them. The repository is made where it is
 * missing. What the Hub has already of the large files is not sent again, so an upload that was broken off goes on.
 */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { commitIter, createRepo, HubApiError } from "@huggingface/hub";
import { readConfig } from "../checkpoint/folder.ts";
import { checkInside } from "../store/links.ts";
import { UserError } from "../util/errors.ts";
import { printable } from "../util/json.ts";
import { errorCode } from "../util/system.ts";
import { type HubName, hubEndpoint, hubToken, isOffline } from "./name.ts";

export interface PushOptions {
  /** Makes a repository that is missing one that others can't see. */
  readonly private?: boolean;
  readonly message?: string;
  /** The file that is being read or sent, and its share that is done. */
  readonly progress?: (file: string, done: number) => void;
}

/** @returns the commit, and where a browser sees it @throws UserError */
export async function pushModel(
  folder: string,
  { repo, revision, folder: below }: HubName,
  options: PushOptions = {},
): Promise<{ readonly commit: string; readonly url: string; readonly files: readonly string[] }> {
  const hub = { hubUrl: hubEndpoint(), ...hubToken() };
  const { accessToken } = hub;
  if (accessToken === undefined) {
    const what = "it is not set, and only its owner may write to a repository";
    throw new UserError(what, "HF_TOKEN", "set it to a token that may write");
  }
  if (isOffline()) throw new UserError("nothing can be sent", "HF_HUB_OFFLINE", "unset it");
  await readConfig(folder);
  const files: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name.startsWith(".") || entry.isDirectory()) continue;
    await checkInside(folder, entry.name);
    files.push(entry.name);
  }
  files.sort();
  try {
    await createRepo({ ...hub, accessToken, repo, ...(options.private ? { visibility: "private" } : {}) }).catch(
      (error: unknown) => {
        // It is there already.
        if (!(error instanceof HubApiError && error.statusCode === 409)) throw error;
      },
    );
    const steps = commitIter({
      ...hub,
      repo,
      branch: revision,
      title: options.message ?? "Upload by bert2bert",
      operations: files.map((name) => ({
        operation: "addOrUpdate",
        path: below === "" ? name : `${below}/${name}`,
        content: pathToFileURL(resolve(join(folder, name))),
      })),
    });
    for (;;) {
      const { done, value } = await steps.next();
      if (!done) {
        if (value.event === "fileProgress") options.progress?.(value.path, value.progress);
        continue;
      }
      if (value === undefined) throw new Error("a commit to a model's repository has a hash");
      return { commit: value.commit.oid, url: `${hub.hubUrl}/${repo}`, files };
    }
  } catch (error) {
    throw refused(error, repo, hub.hubUrl);
  }
}

/** What the Hub refuses, in a sentence; it may repeat what was sent, so its own words are not all shown. */
function refused(error: unknown, repo: string, hub: string): unknown {
  if (error instanceof HubApiError) {
    const { statusCode: status } = error;
    const rights = status === 401 || status === 403;
    const wayOut = rights ? "check the name, and that the token of HF_TOKEN may write there" : "try again later";
    return new UserError(`the Hub (${hub}) refuses it (${status})`, repo, wayOut, { cause: error });
  }
  if (error instanceof TypeError) {
    const cause = error.cause instanceof Error ? error.cause : error;
    const what = `the Hub (${hub}) does not answer (${errorCode(cause) ?? printable(cause.message)})`;
    return new UserError(what, repo, "check the network, then give the same words again", { cause: error });
  }
  return error;
}
