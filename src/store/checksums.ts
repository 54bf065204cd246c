/**
 * `SHA256SUMS` in a folder: the SHA-256 of each of its files, in the form that `sha256sum -c` reads.
 *
 * Its comment lines hold the SHA-256 of its own other lines, so that damage to it is found as well and not blamed on the
 * file a line names, and, where the folder is the result of one command, a digest of all that it was made from: by that
 * the same command, started again, knows its own work.
 */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { UserError } from "../util/errors.ts";
import { errorCode, systemError } from "../util/system.ts";
import { addFile, hashApart, LARGE } from "./hashing.ts";

export const checksumsFile = "SHA256SUMS";

export interface Checksums {
  /** SHA-256 in hexadecimal, by the path in the folder. */
  readonly files: ReadonlyMap<string, string>;
  /** Digest of what the folder was made from. */
  readonly origin: string | undefined;
}

const LARGEST = 2 ** 24;

export function checksumsText({ files, origin }: Checksums): string {
  const lines = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, hash]) => `${hash}  ${name}\n`);
  const rest = [...(origin === undefined ? [] : [`# made from ${origin}\n`]), ...lines].join("");
  return `# bert2bert: SHA-256 of the lines below ${sha256(rest)}\n${rest}`;
}

/** A folder's SHA256SUMS; undefined if it has none. @throws UserError if it is not as it was written */
export async function readChecksums(folder: string): Promise<Checksums | undefined> {
  const path = join(folder, checksumsFile);
  let text: string;
  try {
    if ((await stat(path)).size > LARGEST) throw damaged(folder, [checksumsFile]);
    text = await readFile(path, "latin1");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw systemError(error, path);
  }
  const bytes = Buffer.from(text, "latin1");
  const files = new Map<string, string>();
  let origin: string | undefined;
  for (const line of bytes.toString("utf8").split("\n")) {
    origin ??= /^# made from ([0-9a-f]{64})$/.exec(line)?.[1];
    const [, hash, name] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    if (hash !== undefined && !name.startsWith("/") && !name.split("/").includes("..")) files.set(name, hash);
  }
  // What was read says all there is, or it is not what we wrote.
  if (!Buffer.from(checksumsText({ files, origin })).equals(bytes)) throw damaged(folder, [checksumsFile]);
  return { files, origin };
}

/**
 * Reads the files of a folder and holds them against its SHA256SUMS. Files that are not in it are nobody's business.
 * @param wanted which files; default all
 * @returns whether the folder has a SHA256SUMS
 * @throws UserError naming each file that is damaged or missing
 */
export async function checkFiles(folder: string, wanted: (name: string) => boolean = () => true): Promise<boolean> {
  const checksums = await readChecksums(folder);
  if (checksums === undefined) return false;
  const hashes = new Map<string, string | undefined>();
  for (const name of [...checksums.files.keys()].filter(wanted)) {
    const hash = await hashFile(join(folder, name)).catch((error: unknown) => {
      if (error instanceof UserError && errorCode(error.cause) === "ENOENT") return undefined;
      throw error;
    });
    hashes.set(name, hash);
  }
  compare(folder, checksums, hashes);
  return true;
}

/**
 * As checkFiles, for files whose SHA-256 is known.
 * @throws UserError naming each file that is damaged
 */
export async function checkHashes(folder: string, hashes: ReadonlyMap<string, string>): Promise<void> {
  const checksums = await readChecksums(folder);
  if (checksums !== undefined) compare(folder, checksums, hashes);
}

function compare(folder: string, { files }: Checksums, hashes: ReadonlyMap<string, string | undefined>): void {
  const wrong: string[] = [];
  for (const [name, hash] of hashes) {
    if (hash === undefined) wrong.push(`${name} (missing)`);
    else if (files.has(name) && files.get(name) !== hash) wrong.push(name);
  }
  if (wrong.length > 0) throw damaged(folder, wrong);
}

/**
 * A file's SHA-256 in hexadecimal, read in pieces; a large one's by another thread: what this one does meanwhile goes on.
 * @param signal ends it; it then fails @throws UserError if it can't be read
 */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  signal?.throwIfAborted();
  try {
    if ((await stat(path)).size >= LARGE) return await hashApart(path, signal);
  } catch {
    signal?.throwIfAborted();
    // What can't be read there can't be read here either, and is then said in a sentence.
  }
  const hash = createHash("sha256");
  try {
    await addFile(hash, path);
  } catch (error) {
    throw systemError(error, path);
  }
  return hash.digest("hex");
}

/**
 * sha256 of each file, in hexadecimal, by its path in the folder that holds them all.
 * @param signal ends it; it then fails @throws UserError if one can't be read
 */
export async function hashFiles(paths: readonly string[], signal?: AbortSignal) {
  const hashes: Record<string, string> = {};
  const folder = paths.map(dirname).reduce(
    (above, one) => {
      let common = above;
      while (relative(common, one).startsWith("..")) common = dirname(common);
      return common;
    },
    dirname(paths[0] ?? "."),
  );
  for (const path of [...paths].sort()) {
    hashes[relative(folder, path).replaceAll(sep, "/")] = await hashFile(path, signal);
  }
  return hashes;
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function damaged(folder: string, names: readonly string[]): UserError {
  const what = `${names.join(", ")} ${names.length === 1 ? "is" : "are"} not as written`;
  const wayOut = `use a good copy; if the change was meant, remove ${checksumsFile}`;
  return new UserError(what, folder, wayOut);
}
