/**
 * A model brought from the Hub into its cache, in the layout that Python's huggingface_hub keeps and reads:
 * `blobs/HASH`, `snapshots/COMMIT/NAME` leading to it, `refs/REVISION` naming the commit.
 *
 * Only the files that are read here are fetched. A blob grows beside its place and is taken up again where it ended,
 * is held against the hash that it is named by (SHA-256 for what is in LFS, git's own for the rest), and only then
 * gets its name. The library's own snapshotDownload fetches every file and begins each anew; its listing and its
 * ranged reading are used.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { downloadFile, HubApiError, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { modelCardFile } from "../checkpoint/card.ts";
import { adapterFile, configFile, generationConfigFile, growthFile, tokenizerFiles } from "../checkpoint/folder.ts";
import { optimizerFile, trainerFile } from "../checkpoint/optimizer.ts";
import { indexFile, weightsFile } from "../checkpoint/weights.ts";
import { checksumsFile } from "../store/checksums.ts";
import { writeFileWhole } from "../store/files.ts";
import { addFile } from "../store/hashing.ts";
import { Held, takeLock } from "../store/lock.ts";
import { appendTo, linkTo, named } from "../store/output.ts";
import { keeping } from "../util/closing.ts";
import { UserError } from "../util/errors.ts";
import { printable } from "../util/json.ts";
import { errorCode, systemError } from "../util/system.ts";
import { cachedRepo, type FindOptions, shardsOf, type Wanted } from "./find.ts";
import { type HubName, hubCache, hubEndpoint, hubToken } from "./name.ts";

/** No such model there, or nobody answers: whoever asked may have another way. */
export class NotThere extends Error {}

/** Milliseconds until the Hub has to begin an answer, as huggingface_hub has it. */
const PATIENCE = 10_000;
/** A connection that breaks is taken up again so many times in a row without a byte. */
const TRIES = 4;

const needed: readonly string[] = [
  configFile,
  generationConfigFile,
  adapterFile,
  growthFile,
  modelCardFile,
  trainerFile,
  checksumsFile,
];

/** @returns the folder in the cache @throws NotThere, UserError */
export async function download(
  { repo, revision, folder }: HubName,
  wanted: Wanted,
  options: FindOptions,
): Promise<string> {
  const hub = { hubUrl: hubEndpoint(), fetch: patientFetch, ...hubToken() };
  const place = cachedRepo({ repo });
  const { sha } = await asked(() => modelInfo({ ...hub, name: repo, revision, additionalFields: ["sha"] }));
  if (!/^[0-9a-f]{40}$/.test(sha)) throw new NotThere("its answer names no commit");
  const found = new Map<string, ListFileEntry>();
  await asked(async () => {
    for await (const entry of listFiles({ ...hub, repo, revision: sha, path: folder })) {
      if (entry.type === "file") found.set(entry.path.slice(folder === "" ? 0 : folder.length + 1), entry);
    }
  });
  const snapshot = join(place, "snapshots", sha, folder);
  const fetchAll = async (names: readonly string[]) => {
    const files = names.flatMap((name) => found.get(name) ?? []);
    const all = files.reduce((sum, { size }) => sum + size, 0);
    let before = 0;
    for (const file of files) {
      const name = file.path.slice(file.path.lastIndexOf("/") + 1);
      await bring(file, join(snapshot, name), (done) => options.progress?.(name, before + done, all));
      before += file.size;
    }
  };
  const bring = async (file: ListFileEntry, pointer: string, progress: (done: number) => void) => {
    const hash = file.lfs?.oid ?? file.oid ?? "";
    if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)) throw new NotThere(`its ${printable(file.path)} has no hash`);
    const blob = join(place, "blobs", hash);
    if (existsSync(pointer)) return;
    if (!existsSync(blob)) {
      await using keep = keeping();
      const locks = join(hubCache(), ".locks", `models--${repo.replace("/", "--")}`);
      keep(await waitForLock(join(locks, `${hash}.bert2bert.lock`)));
      const url = `${hub.hubUrl}/${repo}/resolve/${sha}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
      const downloadInfo = { url, size: file.size, etag: hash };
      const read = () => downloadFile({ ...hub, repo, path: file.path, revision: sha, xet: false, downloadInfo });
      if (!existsSync(blob)) await fill(blob, hash, file.size, read, progress);
    }
    await linkTo(blob, pointer);
  };
  try {
    await mkdir(snapshot, { recursive: true });
    if (wanted === "tokenizer") await fetchAll([...tokenizerFiles, configFile]);
    else {
      await fetchAll([...needed, ...tokenizerFiles, ...(found.has(weightsFile) ? [] : [indexFile])]);
      const other = [...found.keys()].find((name) => /\.(bin|pt|pth|ckpt|h5|msgpack)$/.test(name));
      if (!found.has(weightsFile) && !found.has(indexFile) && other !== undefined) {
        const wayOut =
          "open it in transformers and save it (save_pretrained writes safetensors), or ask its owner for them";
        throw new UserError(`it has no weights in safetensors (there is ${printable(other)})`, repo, wayOut);
      }
      await fetchAll([
        ...(found.has(weightsFile) ? [weightsFile] : found.has(indexFile) ? await shardsOf(snapshot) : []),
        optimizerFile,
      ]);
    }
    if (revision !== sha) await writeFileWhole(join(place, "refs", ...revision.split("/")), sha);
  } catch (error) {
    throw systemError(error, hubCache());
  }
  options.say?.(`${repo}: ${sha.slice(0, 8)} of ${hub.hubUrl}`);
  return snapshot;
}

/** Fills a blob from where it ended before. @param read opens the file on the Hub */
async function fill(
  blob: string,
  hash: string,
  size: number,
  read: () => Promise<Blob | null>,
  progress: (done: number) => void,
): Promise<void> {
  const part = `${blob}.bert2bert.incomplete`;
  await mkdir(dirname(blob), { recursive: true });
  for (let fruitless = 0; ; fruitless++) {
    const file = await appendTo(part);
    let at = (await stat(part)).size;
    let failed: unknown;
    try {
      if (at < size) {
        const whole = await asked(read);
        if (whole === null) throw new NotThere("a file that is listed is not there");
        for await (const bytes of (at === 0 ? whole : whole.slice(at)).stream()) {
          await file.append(bytes);
          at += bytes.length;
          if (bytes.length > 0) fruitless = 0;
          progress(at);
        }
      }
    } catch (error) {
      if (error instanceof NotThere || systemError(error) !== error) throw error;
      failed = error;
    } finally {
      await file.sync();
      await file.close();
    }
    if (at >= size && failed === undefined) {
      if ((await hashOf(part, hash.length === 40, size)) === hash) return named(part, blob);
      await rm(part);
    }
    if (fruitless >= TRIES) throw new NotThere(`a file breaks off or comes damaged (${reasonOf(failed)})`);
    await sleep(fruitless * 500);
  }
}

async function hashOf(path: string, git: boolean, size: number): Promise<string> {
  const hash = createHash(git ? "sha1" : "sha256");
  if (git) hash.update(`blob ${size}\0`);
  await addFile(hash, path);
  return hash.digest("hex");
}

/** A lock that another download of the same file may hold: it is waited for. */
async function waitForLock(path: string) {
  for (;;) {
    try {
      return await takeLock(path, "the download");
    } catch (error) {
      if (!(error instanceof Held)) throw error;
      await sleep(500);
    }
  }
}

/** What the Hub refuses, or who does not answer, in words. */
async function asked<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof HubApiError) {
      const { statusCode } = error;
      if ([401, 403, 404].includes(statusCode)) throw new NotThere(`it has none that may be read so (${statusCode})`);
      throw new NotThere(`it answers with an error (${statusCode})`);
    }
    throw new NotThere(`it does not answer (${reasonOf(error)})`);
  }
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return errorCode(cause) ?? (cause instanceof Error ? printable(cause.message) : "it ended early");
}

const patientFetch: typeof fetch = async (input, init) => {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(new Error(`nothing for ${PATIENCE / 1000} s`)), PATIENCE);
  try {
    return await fetch(input, { ...init, signal: patience.signal });
  } finally {
    clearTimeout(timer);
  }
};
