/**
 * Files and folders written whole or not at all.
 *
 * What is written appears first beside its final place, under a temporary name (temporary.ts); every file in it is
 * synced, it is renamed, and the folder that holds it is synced. So whatever stands under a final name is complete,
 * whenever the process, or the machine, stopped. A folder may carry a SHA-256 of each of its files (checksums.ts), made
 * of the bytes as they are handed to the system.
 */
import { rmSync } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, relative, sep } from "node:path";
import { UserError } from "../util/errors.ts";
import { errorCode, systemError } from "../util/system.ts";
import { checkFiles, checksumsFile, checksumsText, hashFile, readChecksums, sha256 } from "./checksums.ts";
import { type Content, fill, fillFile, type Ledger, ledgers, OutputFile } from "./output.ts";
import { finalPlace, kindOf, removeMade, syncFolder } from "./places.ts";
import { recover, temporaryName } from "./temporary.ts";

export interface FolderOptions {
  /** Replace a folder that is there and not empty; default: it is refused. */
  readonly replace?: boolean;
  /** Adds SHA256SUMS. */
  readonly checksums?: boolean;
  /** All that the folder is made from, as text, asked for when it is filled; for `holdsAlready`. Adds SHA256SUMS. */
  readonly origin?: () => Promise<string>;
}

/**
 * Writes a file under its final name only when whole. A file that is there is replaced.
 * @throws UserError
 */
export async function writeFileWhole(path: string, data: Content): Promise<void> {
  await through(path, async (temporary, place) => {
    await fill(new OutputFile(await open(temporary, "wx"), place), data);
    await rename(temporary, place);
    await syncFolder(dirname(place));
  });
}

/**
 * Writes a folder under its final name only when whole: `fill` writes into the temporary folder it is given, which is
 * then synced and renamed. If anything fails, nothing is left, and what was to be replaced stands as before.
 * @throws UserError if the target exists and is not empty, unless it is to be replaced
 */
export async function writeFolderWhole<T>(
  path: string,
  fill: (temporary: string) => Promise<T>,
  options: FolderOptions = {},
): Promise<T> {
  const hashes = options.checksums === true || options.origin !== undefined;
  const ledger: Ledger = { hashes, written: new Map() };
  return through(path, async (temporary, place) => {
    await checkFolderFree(path, options);
    await mkdir(temporary);
    ledgers.set(temporary, ledger);
    try {
      const result = await fill(temporary);
      if (hashes) await writeChecksums(temporary, ledger, options.origin);
      await syncTree(temporary, temporary, ledger);
      await checkFolderFree(path, options);
      await takePlace(temporary, place, options.replace === true);
      return result;
    } finally {
      ledgers.delete(temporary);
    }
  });
}

/** Writes to a temporary name beside the final place, of which nothing is left where it fails. */
async function through<T>(path: string, write: (temporary: string, place: string) => Promise<T>): Promise<T> {
  const place = await finalPlace(path).catch((error: unknown) => {
    throw systemError(error, path);
  });
  const temporary = temporaryName(place, "part");
  try {
    await recover(place);
    removeAtExit(temporary);
    return await write(temporary, place);
  } catch (error) {
    await removed(temporary);
    await removeMade(place);
    // What fails below this name fails under one that nobody knows: name the one that was asked for.
    if (error instanceof UserError && error.where.startsWith(temporary)) {
      throw new UserError(error.what, path + error.where.slice(temporary.length), error.wayOut, { cause: error });
    }
    throw systemError(error, path);
  } finally {
    unfinished.delete(temporary);
  }
}

/** Gives a whole folder its final name, or fails and leaves everything as it was. */
async function takePlace(temporary: string, place: string, replace: boolean): Promise<void> {
  const replaces = replace && (await kindOf(place)) === "full";
  const aside = temporaryName(place, "old");
  if (replaces) await rename(place, aside);
  try {
    await rename(temporary, place);
    try {
      await syncFolder(dirname(place));
    } catch (error) {
      await rename(place, temporary);
      throw error;
    }
  } catch (error) {
    if (replaces) await rename(aside, place);
    throw error;
  }
  if (replaces) await removed(aside);
}

/** Removes a folder or file that stands under a final name: never is a part of it seen there. @throws UserError */
export async function removeWhole(path: string): Promise<void> {
  try {
    const place = await finalPlace(path);
    const aside = temporaryName(place, "part");
    await rename(place, aside);
    await rm(aside, { recursive: true, force: true });
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw systemError(error, path);
  }
}

/**
 * For the start of a long command: whether `writeFolderWhole` would accept the target.
 * @param options.origin accept also what says what it was made from, for `holdsAlready` to look at
 * @throws UserError
 */
export async function checkFolderFree(path: string, options: FolderOptions = {}): Promise<void> {
  const kind = await kindOf(path);
  if (kind === "other") {
    throw new UserError("it exists and is not a folder", path, "name a new folder, or remove what is there");
  }
  if (kind === "full" && options.replace !== true) throw occupied(path);
}

/** As checkFolderFree, for a target that may hold the result of the same command already. @throws UserError */
export async function checkFolderFreeOrMade(path: string): Promise<void> {
  if ((await kindOf(path)) === "full" && (await readChecksums(path))?.origin !== undefined) return;
  await checkFolderFree(path);
}

/**
 * Whether a folder holds, whole, what `writeFolderWhole` with this origin would write: a command that was stopped after
 * its last rename, or is given twice, has nothing left to do.
 * @param origin asked for only if there is something to compare it with
 * @throws UserError if the folder holds anything else, or is damaged
 */
export async function holdsAlready(path: string, origin: () => Promise<string>): Promise<boolean> {
  await recover(path);
  if ((await kindOf(path)) !== "full") return false;
  const found = (await readChecksums(path))?.origin;
  if (found === undefined || found !== sha256(await origin())) throw occupied(path);
  return checkFiles(path);
}

function occupied(path: string): UserError {
  return new UserError("the folder exists and is not empty", path, "name a new folder, or remove this one");
}

/** What a process that is told to end while it writes takes with it. */
const unfinished = new Set<string>();

function removeAtExit(temporary: string): void {
  if (unfinished.size === 0 && !process.listeners("exit").includes(removeUnfinished)) {
    process.on("exit", removeUnfinished);
  }
  unfinished.add(temporary);
}

function removeUnfinished(): void {
  for (const temporary of unfinished) {
    try {
      rmSync(temporary, { recursive: true, force: true });
    } catch {
      // The system may still be writing into it; the next writer removes it.
    }
  }
}

/** Removes what is ours and of no use. That it can't be removed must not hide why; the next writer tries again. */
async function removed(temporary: string): Promise<void> {
  await rm(temporary, { recursive: true, force: true }).catch(() => {});
}

async function writeChecksums(folder: string, ledger: Ledger, origin?: () => Promise<string>): Promise<void> {
  const files = new Map<string, string>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const name = relative(folder, path).replaceAll(sep, "/");
    files.set(name, ledger.written.get(name) ?? (await hashFile(path)));
  }
  const text = checksumsText({ files, origin: origin === undefined ? undefined : sha256(await origin()) });
  await fillFile(join(folder, checksumsFile), text);
}

/** Syncs all folders, and the files that were not synced when they were written. */
async function syncTree(folder: string, root: string, ledger: Ledger): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      await syncTree(path, root, ledger);
    } else if (entry.isFile() && !ledger.written.has(relative(root, path).replaceAll(sep, "/"))) {
      await using handle = await open(path, "r");
      await handle.sync();
    }
  }
  await syncFolder(folder);
}
