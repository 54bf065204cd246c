/** Places in the file system: what a path means, what stands there and in it, folders that outlast a power cut. */
import { existsSync, readdirSync } from "node:fs";
import { lstat, mkdir, open, readdir, realpath, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "../util/errors.ts";
import { errorCode } from "../util/system.ts";

/** Refuses the empty path: to the system nothing is there, and resolved it is the current folder. @throws UserError */
export function checkNamed(path: string): void {
  if (path === "") throw new UserError("the path is empty", "the place to write", "name a file or folder");
}

/** The absolute place a path means, links followed, its parent folders made. @throws UserError if it is empty */
export async function finalPlace(path: string): Promise<string> {
  checkNamed(path);
  const absolute = resolve(path);
  try {
    return await realpath(absolute);
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  await makeFolders(dirname(absolute));
  return join(await realpath(dirname(absolute)), basename(absolute));
}

/**
 * The model folder that a path means: of a run its `model/`, else its newest checkpoint; of anything else itself.
 * @param say told which of a run it is
 */
export function modelPlace(path: string, say: (text: string) => void): string {
  const holdsModel = (inner: string) => existsSync(join(path, inner, "config.json"));
  if (holdsModel(".") || !existsSync(path)) return path;
  const checkpoints = join(path, "checkpoints");
  const steps = (existsSync(checkpoints) ? readdirSync(checkpoints) : [])
    .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
    .sort((a, b) => Number(b) - Number(a));
  const inner = ["model", ...steps.map((step) => `checkpoints/step-${step}`)].find(holdsModel);
  if (inner === undefined) return path;
  say(`${path} is a run: its ${inner} is read`);
  return join(path, inner);
}

/** What stands at a path. @throws UserError if it is empty */
export async function kindOf(path: string): Promise<"none" | "empty" | "full" | "other"> {
  checkNamed(path);
  try {
    if (!(await stat(path)).isDirectory()) return "other";
    return (await readdir(path)).length === 0 ? "empty" : "full";
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw error;
  }
  // A link that leads nowhere is something all the same: nothing can be renamed onto it.
  return await lstat(path).then(
    () => "other",
    () => "none",
  );
}

/** Folders that were missing where something was to be written: they go with what could not be. */
const made = new Set<string>();

/** Makes a folder and those above it that are missing, each one's name synced. */
export async function makeFolders(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  const above = dirname(await realpath(first));
  for (let folder = await realpath(path); folder !== above; folder = dirname(folder)) {
    made.add(folder);
    await syncFolder(dirname(folder));
  }
}

/** Removes the folders above a place that were made for it and are empty, one after the other. */
export async function removeMade(path: string): Promise<void> {
  const above = await realpath(dirname(path)).catch(() => dirname(path));
  for (let folder = above; made.has(folder); folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch {
      // Something else is in it.
      return;
    }
    made.delete(folder);
  }
}

/** Syncs a folder's list of names. */
export async function syncFolder(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync().catch((error: unknown) => {
    // Some network file systems can't sync a folder; there is nothing more to be done about it.
    if (errorCode(error) !== "EINVAL" && errorCode(error) !== "ENOTSUP") throw error;
  });
}

/** A file's bytes, a piece at a time: each is good until the next one is asked for. */
export async function* piecesOf(path: string): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(2 ** 20);
  await using file = await open(path);
  for (;;) {
    const { bytesRead } = await file.read(buffer);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
